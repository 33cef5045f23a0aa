import { randomInt } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Fuzz, openFuzz } from '../support/fuzz.ts'

const MINUTES = 10

let fuzz: Fuzz
beforeAll(async () => {
  fuzz = await openFuzz()
})
afterAll(() => fuzz?.close())

it(`Requests of any kind for ${MINUTES} minutes get no answer 500 at any door, and show nothing of the inside`, async () => {
  const seed = Number(process.env['GEO_SEED'] ?? randomInt(1_000_000))
  const endMs = performance.now() + MINUTES * 60_000
  const { sent, byStatus, wrong, logged } = await fuzz.run(seed, () => performance.now() < endMs)
  console.log(JSON.stringify({ seed, sent, byStatus }))
  expect(wrong).toEqual([])
  expect(logged).toEqual([])
})
