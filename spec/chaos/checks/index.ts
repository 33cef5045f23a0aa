import { absent } from './absent.ts'
import { capacity } from './capacity.ts'
import { died } from './died.ts'
import { gone } from './gone.ts'
import { lost } from './lost.ts'
import { output } from './output.ts'
import type { Check } from './scene.ts'
import { torn } from './torn.ts'
import { twice } from './twice.ts'
import { unfinished } from './unfinished.ts'
import { untouched } from './untouched.ts'

/** All promises, each looked at after each fault. */
export const CHECKS: readonly Check[] = [lost, twice, torn, gone, absent, unfinished, untouched, died, output, capacity]
