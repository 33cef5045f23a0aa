import { afterAll, beforeAll, expect, it } from 'vitest'
import { changeAll, copiesInStep, eventSeed, expectHealed, mangleEvents } from '../support/mangled-events.ts'
import { createSecondarySite, type SecondarySite } from '../support/secondary-site.ts'

let site: SecondarySite

beforeAll(async () => {
  site = await createSecondarySite()
})
afterAll(() => site.close())

it('1,000 events, lost, doubled and reordered at random, are made up for within one pass, and what was lost is counted', async () => {
  const seed = eventSeed()
  await copiesInStep(site, 1000)
  await site.hear()
  await site.run('reconcile')
  await changeAll(site, 1000)
  const left = await mangleEvents(site, seed)
  await site.hear()
  await expect(expectHealed(site)).rejects.toThrow()
  site.clock.advance(60_000)
  await site.run('reconcile')
  await expectHealed(site)
  const drift = await site.geo.drift()
  const counted = Object.fromEntries(drift.map(({ kind, count }) => [kind, count]))
  expect(Object.keys(counted).sort()).toEqual([
    'checksum_changed',
    'key_changed',
    'registry_without_row',
    'row_without_registry',
  ])
  const total = drift.reduce((sum, { count }) => sum + count, 0)
  console.log(JSON.stringify({ seed, left, counted }))
  // A third of them, give or take; each lost event is found once.
  expect(total).toBeGreaterThan(250)
  expect(total).toBeLessThan(420)
  await site.run('reconcile')
  expect(await site.geo.drift()).toEqual(drift)
})
