import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../fixtures/widget-app/replicables.ts'
import { FeatureGate, type FeaturesLike } from '../lib/feature.ts'
import { SiteDirectory } from '../lib/site.ts'
import { ManualClock } from '../lib/testing/manual-clock.ts'
import { createSpecDatabases, type SpecDatabases } from './support/databases.ts'
import { addSites, ENCRYPTION_KEY, untyped } from './support/fixture-rows.ts'

const widgets = untyped(declareReplicables('unused').widgets)
const released = Object.freeze({ ...widgets, released: '1.2' })

let databases: SpecDatabases

beforeAll(async () => {
  databases = await createSpecDatabases()
})
afterAll(() => databases.destroy())
beforeEach(async () => {
  await databases.main('geo_nodes').delete()
  await addSites(databases.main, 'tokyo', 'oslo')
})

async function gateOf(siteName: string, features: FeaturesLike | null): Promise<FeatureGate> {
  const sites = new SiteDirectory(siteName, databases.main, [ENCRYPTION_KEY], new ManualClock())
  await sites.refresh()
  return new FeatureGate(features, sites)
}

const onlyFor = (...names: string[]): FeaturesLike => ({
  isEnabled: (flag, context) =>
    flag === 'geo_widget_replication' && names.includes(context?.properties?.['siteName'] ?? ''),
})
/** As unleash-client answers while it does not know a flag. */
const knowingNone: FeaturesLike = {
  isEnabled: (_, __, fallback) => (typeof fallback === 'function' ? fallback() : (fallback ?? false)),
}

describe('Without a word on the flag', () => {
  it.each([
    ['no features', null],
    ['features that do not know it', knowingNone],
  ])('a type is on once it is released, given %s', async (_, features) => {
    const gate = await gateOf('rome', features)
    expect(gate.replicationEnabled(widgets)).toBe(false)
    expect(gate.replicationEnabled(released)).toBe(true)
  })
})

describe('A flag that is on for one secondary', () => {
  it.each([
    ['tokyo', true],
    ['oslo', false],
    ['rome', true],
    ['nowhere', false],
    // The primary asks by the names in geo_nodes: a constraint must mean the same to the site itself.
    ['Tokyo', true],
  ])('counts at %s as %s', async (siteName, on) => {
    const gate = await gateOf(siteName, onlyFor('tokyo'))
    expect(gate.replicationEnabled(widgets)).toBe(on)
  })

  it('counts as off at the primary where that secondary is disabled', async () => {
    await databases.main('geo_nodes').where({ name: 'tokyo' }).update({ enabled: false })
    expect((await gateOf('rome', onlyFor('tokyo'))).replicationEnabled(widgets)).toBe(false)
  })
})

it('A flag that is off wins over a release', async () => {
  expect((await gateOf('rome', { isEnabled: () => false })).replicationEnabled(released)).toBe(false)
})

it('A flag is asked at each decision', async () => {
  let on = false
  const gate = await gateOf('rome', { isEnabled: () => on })
  expect(gate.replicationEnabled(widgets)).toBe(false)
  on = true
  expect(gate.replicationEnabled(widgets)).toBe(true)
})
