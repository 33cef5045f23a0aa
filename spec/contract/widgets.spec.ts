import { afterAll, beforeAll, beforeEach, describe, it } from 'vitest'
import { conformance } from '../../lib/testing/index.ts'
import { WIDGETS } from './subjects.ts'

conformance({ describe, it, beforeEach, beforeAll, afterAll }, WIDGETS)
