import { randomInt } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Fuzz, openFuzz } from '../support/fuzz.ts'

const REQUESTS = 2000

let fuzz: Fuzz
beforeAll(async () => {
  fuzz = await openFuzz()
})
afterAll(() => fuzz?.close())

it(`${REQUESTS} requests of any kind get no answer 500 at any door, and show nothing of the inside`, async () => {
  const seed = Number(process.env['GEO_SEED'] ?? randomInt(1_000_000))
  const { sent, byStatus, wrong, logged } = await fuzz.run(seed, (count) => count < REQUESTS)
  console.log(JSON.stringify({ seed, sent, byStatus }))
  expect(wrong).toEqual([])
  expect(logged).toEqual([])
  // They get somewhere, and not all of them.
  for (const status of ['200', '400', '401', '404']) expect(Object.keys(byStatus)).toContain(status)
})
