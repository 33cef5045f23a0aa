import { randomInt } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type ForgedKnocks, openForgedKnocks } from '../support/forged-knocks.ts'

const FORGERIES = 100_000

let knocks: ForgedKnocks
beforeAll(async () => {
  knocks = await openForgedKnocks()
})
afterAll(() => knocks?.close())

it(`No door of a primary opens to any of ${FORGERIES} forged requests, and nothing changes`, async () => {
  const open = await knocks.genuine()
  const before = await knocks.everything()
  const seed = Number(process.env['GEO_SEED'] ?? randomInt(1_000_000))
  const { sent, byStatus, accepted } = await knocks.knock(seed, FORGERIES)
  console.log(JSON.stringify({ seed, sent, byStatus, accepted: accepted.length }))
  expect(accepted.slice(0, 5)).toEqual([])
  expect(sent).toBe(FORGERIES)
  expect(await knocks.everything()).toEqual(before)
  expect(await knocks.genuine()).toEqual(open)
})
