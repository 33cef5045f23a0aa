import { afterAll, beforeAll, it } from 'vitest'
import { type ForgedKnocks, knockInVain, openForgedKnocks } from '../support/forged-knocks.ts'

const FORGERIES = 100_000

let knocks: ForgedKnocks
beforeAll(async () => {
  knocks = await openForgedKnocks()
})
afterAll(() => knocks?.close())

it(`No door of a primary or a secondary opens to any of ${FORGERIES} forged requests, and nothing changes`, async () => {
  await knockInVain(knocks, FORGERIES)
})
