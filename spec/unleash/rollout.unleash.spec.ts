import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { flagDefinition } from '../../lib/generate/flag-definition.ts'
import type { Checked } from '../../lib/view/check/outcome.ts'
import { type FlaggedSites, type KnownFlag, startFlaggedSites } from '../support/flagged-sites.ts'
import { type HoldingProxy, startHoldingProxy } from '../support/holding-proxy.ts'
import { type UnleashServer, unleashWithout } from '../support/unleash-server.ts'
import { until } from '../support/until.ts'

const FLAG = 'geo_widget_replication'
const SYNCED_AND_VERIFIED = { state: 2, verification_state: 2 }
const PENDING = { state: 0, verification_state: 0 }

/** One flag on its way to its release, with nobody restarting anything. */
describe('A type behind a flag of a real Unleash server', () => {
  let unleash: UnleashServer
  let sites: FlaggedSites
  let line: HoldingProxy

  beforeAll(async () => {
    unleash = await unleashWithout(FLAG)
    sites = await startFlaggedSites(unleash)
    line = await startHoldingProxy(sites.rome.url)
    await sites.rome.geo.sites.update('rome', { internalUrl: line.url })
    await sites.databases.caughtUp()
  })
  afterAll(async () => {
    await sites?.close()
    await line?.close()
  })

  const upload = (name: string) => sites.client.upload(sites.rome.url, 'widgets', name, `bytes of ${name}`)
  const events = () => sites.databases.main('geo_events').orderBy('id').pluck('event_name')
  const areOn = () => sites.all.map(({ name, isOn }) => `${name} ${isOn ? 'on' : 'off'}`).join(', ')
  const everybodyKnows = (isSo: (known: KnownFlag) => boolean) =>
    Promise.all(sites.all.map((site) => site.knows(FLAG, isSo)))
  const everybodySettles = async () => {
    for (const site of sites.all) await site.settle()
  }
  const sitesOf = (known: KnownFlag) => known?.strategies?.[0]?.constraints?.[0]?.values?.join()

  /** What `geo check type widget` says at the primary; its client is one more that asks the server. */
  async function checked(text: string): Promise<{ status: number; lines: Checked[] }> {
    const { status, stdout, stderr } = await sites.rome.command('check', 'type', 'widget', '--json')
    if (status === 2) throw new Error(stderr)
    const lines = JSON.parse(stdout) as Checked[]
    return { status, lines: lines.filter(({ name }) => name.includes(text)) }
  }

  it('is as it is declared while Unleash does not know the flag', async () => {
    expect(areOn()).toBe('rome off, paris off, oslo off')
    expect(await checked('is known')).toEqual({
      status: 1,
      lines: [expect.objectContaining({ answer: 'no', reason: expect.stringContaining('off everywhere') })],
    })
  })

  it('does nothing once the flag is known, and off', async () => {
    await unleash.import(flagDefinition(sites.rome.widgets.names))
    await everybodyKnows((flag) => flag?.enabled === false)
    await upload('while off')
    await everybodySettles()
    expect(areOn()).toBe('rome off, paris off, oslo off')
    expect(await events()).toEqual([])
    expect(await sites.databases.main('widget_states')).toEqual([])
    expect([await sites.registry(sites.paris), await sites.registry(sites.oslo)]).toEqual([[], []])
    expect(sites.rome.asked).toEqual([])
  })

  it('backfills at the one secondary that the flag is on for; the primary publishes, the other does nothing', async () => {
    await unleash.limitTo(FLAG, ['paris'])
    await unleash.switchOn(FLAG)
    await everybodyKnows((flag) => flag?.enabled === true && sitesOf(flag) === 'paris')
    expect(areOn()).toBe('rome on, paris on, oslo off')
    const { lines } = await checked('The flag')
    expect(lines.map(({ answer }) => answer)).toEqual(['yes', 'yes', 'skipped', 'yes'])

    await everybodySettles()
    expect(await sites.registry(sites.paris)).toEqual([SYNCED_AND_VERIFIED])
    const { key } = await upload('for paris')
    await everybodySettles()
    expect(await events()).toEqual(['checksum_succeeded', 'created', 'checksum_succeeded'])
    expect(await sites.registry(sites.paris)).toEqual([SYNCED_AND_VERIFIED, SYNCED_AND_VERIFIED])
    expect(await sites.copy(sites.paris, key)).toBe('bytes of for paris')
    expect(await sites.copy(sites.oslo, key)).toBeNull()
  })

  it('backfills at the other with the first look after it has heard that the flag is on there too', async () => {
    await unleash.limitTo(FLAG, null)
    await everybodyKnows((flag) => flag?.enabled === true && sitesOf(flag) === undefined)
    expect(areOn()).toBe('rome on, paris on, oslo on')
    await sites.oslo.settle()
    expect(await sites.registry(sites.oslo)).toEqual([SYNCED_AND_VERIFIED, SYNCED_AND_VERIFIED])
  })

  it('killed: what runs finishes, and nothing begins', async () => {
    const { paris, oslo, rome } = sites
    const { key } = await upload('under way')
    await rome.settle()
    // Paris has heard of it; Oslo is in the middle of it.
    await paris.settle(['events'])
    line.hold(1)
    const running = oslo.settle(['events', 'sync'])
    await until(async () => (await sites.registry(oslo)).some(({ state }) => state === 1))
    await unleash.switchOff(FLAG)
    await everybodyKnows((flag) => flag?.enabled === false)
    const before = await events()
    await upload('too late')
    line.release()
    await running
    const asked = [...rome.asked]
    await everybodySettles()
    expect(rome.asked).toEqual(asked)
    expect(await sites.copy(oslo, key)).toBe('bytes of under way')
    expect((await sites.registry(oslo))[2]).toMatchObject({ state: 2 })
    expect((await sites.registry(paris)).slice(2)).toEqual([PENDING])
    expect(await events()).toEqual(before)
  })

  it('goes on with what was left as soon as the flag is on again', async () => {
    await unleash.switchOn(FLAG)
    await everybodyKnows((flag) => flag?.enabled === true)
    await everybodySettles()
    const four = Array(4).fill(SYNCED_AND_VERIFIED)
    expect([await sites.registry(sites.paris), await sites.registry(sites.oslo)]).toEqual([four, four])
  })
})
