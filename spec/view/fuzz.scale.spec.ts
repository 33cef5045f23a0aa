import { afterAll, beforeAll, it } from 'vitest'
import { type Fuzz, fuzzInVain, openFuzz } from '../support/fuzz.ts'

const MINUTES = 10

let fuzz: Fuzz
beforeAll(async () => {
  fuzz = await openFuzz()
})
afterAll(() => fuzz?.close())

it(`Requests of any kind for ${MINUTES} minutes get no answer 500 at any door, and show nothing of the inside`, async () => {
  const endMs = performance.now() + MINUTES * 60_000
  await fuzzInVain(fuzz, () => performance.now() < endMs)
})
