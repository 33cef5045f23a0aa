import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { AllowedIps } from '../../lib/allowed-ips.ts'
import type { Assembly } from '../../lib/assembly.ts'
import { assemble } from '../../lib/geo.ts'
import type { GeoSettings } from '../../lib/options.ts'
import { checkSite } from '../../lib/view/check/check-site.ts'
import type { Checked } from '../../lib/view/check/outcome.ts'
import type { CheckSources } from '../../lib/view/check/sources.ts'
import { commandOf } from '../support/in-process-cli.ts'
import type { SecondarySite } from '../support/secondary-site.ts'
import { type ServedSites, serveSites } from '../support/served-sites.ts'

let sites: ServedSites
let site: SecondarySite
let primary: Assembly
let primaryUrl: string

beforeAll(async () => {
  sites = await serveSites()
  site = sites.site
  primary = sites.primary
  primaryUrl = sites.primaryUrl
})
afterEach(() => sites.reach(primaryUrl))
afterAll(() => sites.close())

async function all(sources: CheckSources): Promise<Checked[]> {
  const results: Checked[] = []
  for await (const checked of checkSite(sources)) results.push(checked)
  return results
}

/** The answers to questions whose names contain the text. */
async function about(text: string, sources: CheckSources = site.assembly): Promise<Checked[]> {
  return (await all(sources)).filter(({ name }) => name.includes(text))
}

const without = (changes: Partial<GeoSettings>): CheckSources => ({
  ...site.assembly,
  settings: { ...site.assembly.settings, ...changes },
})

const SECONDARY = `Checking Geo ...

The main database answers ... yes
The main database is PostgreSQL 14 or newer ... yes, VERSION
This machine's site name matches a database record ... yes, found a secondary site named "paris"
The primary site is known ... yes, rome
This site is enabled ... yes
The keys of the sites can be decrypted ... yes
Migrations of the main database are current ... yes
The tables of all types are in the main database ... yes, widget, gadget
Its role may do what it has to in the main database ... yes
Database replication enabled? ... yes, a physical standby
Database replication working? ... yes, LAG
The tracking database answers ... yes
The tracking database is PostgreSQL 14 or newer ... yes, VERSION
The tracking database is writable ... yes
Migrations of the tracking database are current ... yes
The tables of all types are in the tracking database ... yes, widget, gadget
Its role may do what it has to in the tracking database ... yes
The tracking database began with this site ... yes
The primary site can be reached over HTTP(S) ... yes, PRIMARY
This machine's clock agrees with that of the primary ... yes, SKEW
The store of widget, gadget is mounted ... skipped
  Reason: ROOT has not been used yet
The store of widget, gadget can be written ... yes
The store of widget, gadget has space ... yes, FREE
The flag geo_widget_replication is on ... yes
The flag geo_gadget_replication is on ... yes

Checking Geo ... Finished
`

describe('geo check', () => {
  it('on a secondary that is well answers every question with yes, and ends with 0', async () => {
    const { status, stdout, stderr } = await commandOf(site.assembly.settings)('check')
    const told = stdout
      .replaceAll(/yes, \d+\.\d+$/gm, 'yes, VERSION')
      .replace(/yes, \d+ seconds behind$/m, 'yes, LAG')
      .replace(/yes, \d\.\d{3} seconds (ahead|behind)$/m, 'yes, SKEW')
      .replace(/yes, [\d.]+ [KMGT]?i?B free$/m, 'yes, FREE')
      .replace(primaryUrl, 'PRIMARY')
      .replace(site.root, 'ROOT')
    expect(told).toBe(SECONDARY)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  })

  it('on the primary asks what applies there', async () => {
    await primary.sites.refresh()
    const results = await all(primary)
    expect(results.filter(({ answer }) => answer === 'no')).toEqual([])
    const names = results.map(({ name }) => name)
    expect(names).toContain('The main database is writable')
    expect(names).toContain('The tracking database is not configured after promotion')
    expect(names.join()).not.toMatch(/replication enabled|HTTP/)
  })

  it('a no says why and what to do, and ends with 1', async () => {
    await sites.reach('http://127.0.0.1:1/')
    const { status, stdout } = await commandOf(site.assembly.settings)('check')
    expect(status).toBe(1)
    expect(stdout).toContain(
      `The primary site can be reached over HTTP(S) ... no
  PRIMARY_UNREACHABLE: http://127.0.0.1:1/: The primary does not answer: connect ECONNREFUSED 127.0.0.1:1
  Try fixing it:
  Check that the processes of the primary run and listen there, and that no firewall refuses the connection.
  For more information see:
  docs/errors.md
This machine's clock agrees with that of the primary ... skipped
  Reason: The primary did not tell its time
`,
    )
  })

  it('as JSON says the same', async () => {
    const { stdout } = await commandOf(site.assembly.settings)('check', '--json')
    expect(JSON.parse(stdout)[0]).toEqual({ name: 'The main database answers', answer: 'yes', detail: null })
  })

  it.each([
    ['a name that DNS does not know', 'http://no-such-host.invalid/', /DNS/],
    ['a place where the router is not mounted', 'elsewhere', /Mount geo\.router/],
  ])('the connection: %s', async (_title, url, advice) => {
    await sites.reach(url === 'elsewhere' ? `${primaryUrl}elsewhere/` : url)
    const [reached] = await about('over HTTP')
    expect(reached).toMatchObject({ answer: 'no', advice: [expect.stringMatching(advice), ...anything(reached)] })
  })

  it('the connection: a clock that is wrong', async () => {
    const shifted = { ...site.clock, nowMs: () => site.clock.nowMs() + 20_000 }
    expect(await about('clock', without({ clock: shifted }))).toMatchObject([
      { answer: 'no', code: 'CLOCK_SKEW', reason: expect.stringMatching(/^(19|20)\.\d+ seconds ahead$/) },
    ])
  })

  it('the connection: an address from which the primary lets no site ask', async () => {
    const strict = assemble({ ...primary.settings, allowedIps: new AllowedIps(['10.0.0.0/8']) })
    const server = express().use(strict.router).listen(0, '127.0.0.1')
    await once(server, 'listening')
    await sites.reach(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
    expect(await about('over HTTP')).toMatchObject([
      {
        answer: 'no',
        code: 'PRIMARY_REFUSED',
        reason: expect.stringContaining('no site may ask from the address 127.0.0.1'),
        advice: [expect.stringContaining('`allowedIps`')],
      },
    ])
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    await strict.stop()
  })

  it('a site that is paused is reached, and says how to go on', async () => {
    await site.update({ enabled: false })
    await primary.sites.refresh()
    expect(await about('over HTTP')).toMatchObject([{ answer: 'yes', detail: expect.stringContaining('paused') }])
    expect(await about('is enabled')).toMatchObject([{ answer: 'no', advice: ['Run `geo resume`.'] }])
    await site.update({ enabled: true })
  })

  it('a name that no site has, and keys of another encryptionKey', async () => {
    const settings = { ...site.assembly.settings, siteName: 'oslo' }
    const { stdout } = await commandOf(settings)('check')
    expect(stdout).toContain('SITE_UNKNOWN: No site is named "oslo"; known: "rome", "paris"')
    const other = await commandOf({ ...site.assembly.settings, encryptionKeys: [Buffer.alloc(32, 9)] })('check')
    expect(other.stdout).toMatch(/can be decrypted \.\.\. no\n {2}SECRET_UNDECRYPTABLE/)
  })

  it('databases: one that is away, one that is writable, none at all', async () => {
    const { databases } = site.assembly
    const main = site.databases.main
    expect(await about('replication enabled', { ...site.assembly, databases: { ...databases, main } })).toMatchObject([
      { answer: 'no', code: 'NOT_IN_RECOVERY' },
    ])
    expect(await about('tracking', { ...site.assembly, databases: { ...databases, tracking: null } })).toMatchObject([
      { answer: 'no', code: 'TRACKING_DATABASE_MISSING' },
    ])
  })

  it('migrations that have not run are named', async () => {
    const { tracking } = site.databases
    const last = '20261124000810_create_geo_site_status.ts'
    const rows = await tracking('geo_tracking_migrations').where({ name: last })
    await tracking('geo_tracking_migrations').where({ name: last }).delete()
    expect(await about('Migrations of the tracking')).toMatchObject([
      { answer: 'no', code: 'MIGRATIONS_PENDING', reason: expect.stringContaining('missing: 20261124000810') },
    ])
    await tracking('geo_tracking_migrations').insert(rows)
  })

  it('a store that another site uses, one that is gone, and a flag that is off', async () => {
    const off = without({ features: { isEnabled: () => false } })
    expect(await about('flag geo_widget', off)).toMatchObject([{ answer: 'skipped' }])
    await site.widgets.store.claimMarker({ site: 'oslo', store: 'x' })
    expect(await about('is mounted')).toMatchObject([{ answer: 'no', code: 'STORE_NOT_MOUNTED' }])
    await rm(site.root, { recursive: true })
    expect(await about('can be written')).toMatchObject([{ answer: 'no', code: 'STORAGE_ERROR' }])
  })

  it('a primary that takes no writes, and a promotion that was broken off', async () => {
    const { main } = site.databases
    expect(await about('takes writes', primary)).toMatchObject([{ answer: 'yes' }])
    await main('geo_nodes').where({ primary: true }).update({ read_only_since: '2026-01-02T03:04:05Z' })
    await primary.sites.refresh()
    const reason = 'It is read only since 2026-01-02T03:04:05.000Z'
    expect(await about('takes writes', primary)).toMatchObject([{ answer: 'no', code: 'READ_ONLY_MODE', reason }])
    await main('geo_nodes').update({ read_only_since: null })
    await primary.sites.refresh()

    expect(await about('have lost', primary)).toMatchObject([{ answer: 'yes' }])
    const promotion = { epoch: 1002, site_name: 'rome', sealed: true, arrived_below: '1', arrived_xact_ids: '{}' }
    await main('geo_promotions').insert(promotion)
    expect(await about('have lost', primary)).toMatchObject([{ answer: 'no' }])
    await main('geo_promotions').update({ ended_at: main.fn.now() })
    expect(await about('have lost', primary)).toMatchObject([{ answer: 'yes' }])
    await main('geo_promotions').delete()
  })

  it('a tracking database that was left after promotion', async () => {
    const promoted = { ...primary, settings: { ...primary.settings, trackingDb: site.databases.tracking } }
    expect(await about('after promotion', promoted)).toMatchObject([{ answer: 'no' }])
  })
})

/** Whatever more advice there is. */
function anything(checked: Checked | undefined): unknown[] {
  return checked?.answer === 'no' ? checked.advice.slice(1) : []
}
