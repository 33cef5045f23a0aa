import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Fuzz, fuzzInVain, openFuzz } from '../support/fuzz.ts'

const REQUESTS = 2000

let fuzz: Fuzz
beforeAll(async () => {
  fuzz = await openFuzz()
})
afterAll(() => fuzz?.close())

it(`${REQUESTS} requests of any kind get no answer 500 at any door, and show nothing of the inside`, async () => {
  const byStatus = await fuzzInVain(fuzz, (sent) => sent < REQUESTS)
  // They get somewhere, and not all of them.
  for (const status of ['200', '400', '401', '404']) expect(Object.keys(byStatus)).toContain(status)
})
