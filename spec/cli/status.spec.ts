import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { paintFor } from '../../lib/cli/paint.ts'
import { statusText } from '../../lib/cli/status-text.ts'
import { presentStatus } from '../../lib/view/status/present.ts'
import { addRegistryRow } from '../support/fixture-rows.ts'
import { commandOf } from '../support/in-process-cli.ts'
import { createSecondarySite, type SecondarySite } from '../support/secondary-site.ts'
import { until } from '../support/until.ts'

const NOW_S = 1_800_000_000
const NOT_NEEDED = { accessKey: '', secret: { ciphertext: Buffer.alloc(0), iv: Buffer.alloc(0) } }

let site: SecondarySite
beforeAll(async () => {
  site = await createSecondarySite()
  const { tracking } = site.databases
  for (const id of [1, 2, 3]) {
    const state = id === 3 ? { state: 3, retry_count: 1 } : { state: 2, verification_state: 2 }
    await addRegistryRow(tracking, site.widgets, String(id), state)
  }
  await site.assembly.viewing.gathering.gather()
})
afterAll(() => site.close())

/** A status as the site `paris` would have stored it. */
function shown(fields: Record<string, unknown>, { primary = false, enabled = true } = {}) {
  const [one] = site.assembly.sites.all
  if (!one) throw new Error('No site')
  const known = { ...one, ...NOT_NEEDED, name: primary ? 'rome' : 'paris', url: 'https://x.test/', primary, enabled }
  const replicables = [site.widgets, site.gadgets]
  const stored = {
    status: { healthy: true, version: '0.1.0', ...fields },
    updatedAt: new Date(NOW_S * 1000).toISOString(),
    updatedAgeSeconds: 4,
    lastReportAt: NOW_S - 4,
    lastReportAgeSeconds: 4,
    clockSkewMs: typeof fields['clock_skew_seconds'] === 'number' ? fields['clock_skew_seconds'] * 1000 : null,
  }
  const status = presentStatus({ site: known, stored, primaryStatus: null, replicables, apiUrl: '/', wording: 'node' })
  return { site: known, status, replicables }
}

const plain = { paint: paintFor({ stdout: { write: () => undefined }, environment: {} }), nowMs: NOW_S * 1000 }

const SECONDARY = `Geo Site Information
--------------------------------------------
                                      Name: paris
                                       URL: https://x.test/
                                  Geo Role: Secondary
                             Health Status: Unhealthy
                     Health Status Summary: CURSOR_PRUNED: Events were pruned
                       This Node's Version: 0.1.0, host r7

Replication Information
--------------------------------------------
                             Sync Settings: Full
                  Database replication lag: 0 seconds
           Last event ID seen from primary: 90 (3 minutes ago)
                   Last event ID processed: 88 (2 hours ago)
                    Last status report was: 4 seconds ago
              Clock, against the primary's: 0.012 seconds ahead

Replication Status
--------------------------------------------
                        Widgets replicated: failed 1 / succeeded 199 / total 200 (99%)
                        Gadgets replicated: succeeded 0 / total 0 (100%)

Verification Status
--------------------------------------------
                          Widgets verified: succeeded 100 / total 200 (50%)
                          Gadgets verified: succeeded 0 / total 0 (100%)

Progress
--------------------------------------------
             Widgets in the last 5 minutes: 2.0 a second, 1.5 KiB/s
                         Widgets remaining: about 50 seconds
                     Widgets still to come: 2.0 MiB
           Widgets from commit to verified: half within 0.5 s, 99 % within 10 seconds

`

describe('geo status', () => {
  const rates = (last_5_minutes: number) => ({ last_minute: 0, last_5_minutes, last_60_minutes: 0 })
  const fields = {
    healthy: false,
    health: 'CURSOR_PRUNED: Events were pruned',
    revision: 'r7',
    db_replication_lag_seconds: 0,
    last_event_id: 90,
    last_event_timestamp: NOW_S - 180,
    cursor_last_event_id: 88,
    cursor_last_event_timestamp: NOW_S - 7200,
    clock_skew_seconds: 0.012,
    widgets_synced_count: 199,
    widgets_failed_count: 1,
    widgets_registry_count: 200,
    widgets_verified_count: 100,
    widgets_verification_failed_count: 0,
    gadgets_synced_count: 0,
    gadgets_failed_count: 0,
    gadgets_registry_count: 0,
    gadgets_verified_count: 0,
    gadgets_verification_failed_count: 0,
    progress: {
      widgets: {
        synced_bytes: 1,
        pending_bytes: 2_097_152,
        in_flight_count: 0,
        oldest_unsynced_seconds: 5,
        lag_seconds: { buckets: [], p50: 0.5, p99: 10 },
        blobs_per_second: rates(2),
        bytes_per_second: rates(1536),
        remaining_seconds: 50,
      },
    },
  }

  it('is the text that operators know', () => {
    expect(statusText(shown(fields), plain)).toBe(SECONDARY)
  })

  it('of a primary tells of checksums, and of a type that is off nothing', () => {
    const primary = { last_event_id: 90, widgets_checksum_total_count: 3, widgets_checksummed_count: 2 }
    const text = statusText(shown({ ...primary, widgets_checksum_failed_count: 1 }, { primary: true }), plain)
    expect(text).toContain('                       Widgets checksummed: failed 1 / succeeded 2 / total 3 (66%)\n')
    expect(text).not.toMatch(/Gadgets|replicated|Sync Settings/)
  })

  it('says that a site is paused', () => {
    expect(statusText(shown({}, { enabled: false }), plain)).toMatch(/^ +Paused: yes/m)
  })

  it('is coloured on a terminal, unless NO_COLOR is set', async () => {
    const yellow = '\u001b[33mGeo Site Information\u001b[0m\n'
    const onTerminal = await commandOf(site.assembly.settings, { isTTY: true })('status')
    expect(onTerminal.stdout).toContain(yellow)
    expect(onTerminal.stdout).toContain('\u001b[31mfailed 1\u001b[0m / succeeded 2')
    const without = { isTTY: true, environment: { NO_COLOR: '1' } }
    expect((await commandOf(site.assembly.settings, without)('status')).stdout).not.toContain('\u001b')
    expect((await commandOf(site.assembly.settings)('status')).stdout).not.toContain('\u001b')
  })

  it('as JSON has the fields of every other view', async () => {
    const { stdout, status } = await commandOf(site.assembly.settings)('status', '--json')
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toEqual([
      { name: 'paris', role: 'secondary', url: 'http://paris.test/', ...(await site.geo.status()) },
    ])
  })

  it('on the primary shows all sites, or the named one', async () => {
    const settings = { ...site.assembly.settings, siteName: 'rome', mainDb: site.databases.main, trackingDb: null }
    const names = async (...args: string[]) => {
      const { stdout } = await commandOf(settings)('status', '--json', ...args)
      return JSON.parse(stdout).map(({ name }: { name: string }) => name)
    }
    expect(await names()).toEqual(['rome', 'paris'])
    expect(await names('--site', 'PARIS')).toEqual(['paris'])
    expect(await commandOf(settings)('status', '--site', 'oslo')).toMatchObject({
      status: 2,
      stderr:
        'geo: No site is named "oslo" in geo_nodes\nSITE_UNKNOWN: Add this site with `geo site add`, or correct `siteName`.\n',
    })
  })

  it('watches with bars on a terminal until Ctrl-C', async () => {
    const watching = commandOf(site.assembly.settings, { isTTY: true })('status', '--watch')
    await until(() => watching.written.includes('\u001b[3A\u001b[J'))
    watching.interrupt()
    const { status, stdout } = await watching
    expect(status).toBe(0)
    expect(stdout).toMatch(/^paris {2}secondary {2}Healthy|Unhealthy {2}as of \d+ seconds? ago\n/)
    expect(stdout).toContain('  Widgets          ████████████████░░░░░░░░  66%  2 of 3 verified  1 failed\n')
  })

  it('watches without bars where nobody looks', async () => {
    const watching = commandOf(site.assembly.settings)('status', '--watch')
    await until(() => watching.written.includes('Geo Site Information'))
    watching.interrupt()
    expect((await watching).stdout).not.toMatch('█')
  })
})
