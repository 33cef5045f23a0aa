import { afterAll, beforeAll, beforeEach, describe, it } from 'vitest'
import { conformance } from '../../lib/testing/index.ts'
import { GADGETS } from './subjects.ts'

conformance({ describe, it, beforeEach, beforeAll, afterAll }, GADGETS)
