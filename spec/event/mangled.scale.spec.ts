import { afterAll, beforeAll, expect, it } from 'vitest'
import { changeAll, copiesInStep, eventSeed, expectHealed, mangleEvents } from '../support/mangled-events.ts'
import { createSecondarySite, type SecondarySite } from '../support/secondary-site.ts'

const EVENTS = 100_000

let site: SecondarySite

beforeAll(async () => {
  site = await createSecondarySite()
})
afterAll(() => site.close())

it('100,000 events, lost, doubled and reordered at random, are made up for within one pass', async () => {
  const seed = eventSeed()
  await copiesInStep(site, EVENTS)
  await site.hear()
  await site.run('reconcile')
  await changeAll(site, EVENTS)
  const left = await mangleEvents(site, seed)
  let startedAt = performance.now()
  await site.hear()
  const heardMs = performance.now() - startedAt
  site.clock.advance(60_000)
  startedAt = performance.now()
  await site.run('reconcile')
  console.log(JSON.stringify({ seed, left, heardMs, passMs: performance.now() - startedAt }))
  await expectHealed(site)
  expect((await site.geo.drift()).length).toBe(4)
})
