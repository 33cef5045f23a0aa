import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { insertEvents } from '../../lib/event/event-log.ts'
import { checkHealth } from '../../lib/view/health.ts'
import { judgeReplica, type ReplicaState } from '../../lib/view/replica-health.ts'
import { statusesOf } from '../../lib/view/status/read.ts'
import { addHostRow, addRegistryRow, secondsFromNow } from '../support/fixture-rows.ts'
import { createWatchedSites, type WatchedSites } from '../support/watched-sites.ts'

let sites: WatchedSites
let parisAheadMs = 0
const parisClock = (): Clock => (sites as WatchedSites | undefined)?.paris.clock ?? systemClock
/** Of rome: the same as in paris, except that it is set otherwise. */
const romesClock: Clock = {
  ...systemClock,
  nowMs: () => parisClock().nowMs() - parisAheadMs,
  monotonicMs: () => parisClock().monotonicMs(),
}

beforeAll(async () => {
  sites = await createWatchedSites({ rome: { clock: romesClock } })
  await sites.gatherAll()
})
afterAll(() => sites?.close())

const codesOf = async (which: 'rome' | 'paris') => {
  const health = await (which === 'rome' ? sites.rome.viewing.health() : sites.paris.assembly.viewing.health())
  return health.findings.map(({ code }) => code)
}
const messageOf = async (code: string) =>
  (await sites.paris.assembly.viewing.health()).findings.find((finding) => finding.code === code)?.message

it('Two sites that work are healthy, and nothing is said of them', async () => {
  expect(await sites.rome.viewing.health()).toEqual({ status: 'healthy', findings: [] })
  expect(await sites.paris.assembly.viewing.health()).toEqual({ status: 'healthy', findings: [] })
})

describe('A secondary that is cut from its primary', () => {
  it('says so itself, and the primary says it of it, once it could not report for 90 seconds', async () => {
    await sites.cut()
    await expect(sites.report()).rejects.toMatchObject({ code: 'PRIMARY_UNREACHABLE' })
    await sites.sinceReport(80)
    expect(await codesOf('paris')).not.toContain('SITE_OFFLINE')
    expect(await codesOf('rome')).not.toContain('SECONDARY_OFFLINE')

    await sites.sinceReport(11)
    expect(await messageOf('SITE_OFFLINE')).toMatch(
      /^This site has not reported to the primary for 9\d seconds: .*ECONNREFUSED/,
    )
    expect((await sites.paris.assembly.viewing.health()).status).toBe('unhealthy')
    const { status, findings } = await sites.rome.viewing.health()
    expect(findings[0]?.message).toMatch(/^The primary has not heard of paris for 9\d seconds$/)
    expect(status, 'the primary itself is well').toBe('healthy')
    const told = await statusesOf(sites.rome, sites.rome.sites.all)
    const paris = sites.rome.sites.all.find(({ primary }) => !primary)
    expect(told.get(paris?.id ?? '')).toMatchObject({ healthy: false, health: expect.stringContaining('SITE_OFFLINE') })

    await sites.mend()
    await sites.report()
    expect(await codesOf('paris')).toEqual([])
    expect(await codesOf('rome')).toEqual([])
  })

  it('says so also where it never got through at all', async () => {
    const { tracking } = sites.paris.databases
    await tracking('geo_site_status').update({ reported_at: null })
    await sites.cut()
    await expect(sites.report()).rejects.toThrow()
    await expect(sites.report()).rejects.toThrow()
    expect(await codesOf('paris')).not.toContain('SITE_OFFLINE')
    await sites.sinceReport(95)
    expect(await codesOf('paris')).toContain('SITE_OFFLINE')
    await sites.mend()
    await sites.report()
    expect(await codesOf('paris')).toEqual([])
  })

  it('is not told of while it is disabled', async () => {
    await sites.sinceReport(1000)
    await sites.paris.update({ enabled: false })
    expect(await codesOf('paris')).toEqual(['SITE_DISABLED'])
    expect(await codesOf('rome')).toEqual([])
    await sites.paris.update({ enabled: true })
    await sites.report()
  })
})

describe('The clock of a secondary', () => {
  it.each([
    [30_000, undefined],
    [-30_000, undefined],
    [61_000, "The clock of this site is 61 seconds ahead of the primary's"],
    [-75_000, "The clock of this site is 75 seconds behind the primary's"],
  ])('that differs by %i ms: %s', async (clockSkewMs, message) => {
    await sites.paris.databases.tracking('geo_site_status').update({ clock_skew_ms: clockSkewMs })
    expect(await messageOf('CLOCK_SKEW')).toBe(message)
    await sites.report()
    expect(await messageOf('CLOCK_SKEW')).toBeUndefined()
  })
})

describe('The clock of a secondary, once it is set wrong', () => {
  it.each([
    [90, 'ahead of', false],
    [-90, 'behind', true],
    [3600, 'ahead of', false],
    [-3600, 'behind', false],
  ])('by %i seconds, is told of, whether or not the primary takes its reports', async (seconds, direction, isTaken) => {
    parisAheadMs = seconds * 1000
    if (isTaken) await sites.report()
    else await expect(sites.report()).rejects.toMatchObject({ code: 'PRIMARY_REFUSED' })
    const said = `The clock of this site is ${Math.abs(seconds)} seconds ${direction} the primary's`
    expect(await messageOf('CLOCK_SKEW')).toBe(said)
    parisAheadMs = 0
    await sites.report()
    expect(await messageOf('CLOCK_SKEW')).toBeUndefined()
  })
})

describe('The tracking database', () => {
  it('that followed the log before the site was added is not taken for its own', async () => {
    const { main, caughtUp } = sites.paris.databases
    const [{ created_at }] = await main('geo_nodes').where({ name: 'paris' }).select('created_at')
    await main('geo_nodes')
      .where({ name: 'paris' })
      .update({ created_at: new Date(Date.now() + 600_000) })
    await caughtUp()
    expect(await messageOf('TRACKING_DATABASE_REUSED')).toMatch(/before this site was added/)
    await main('geo_nodes').where({ name: 'paris' }).update({ created_at })
    await caughtUp()
    expect(await codesOf('paris')).toEqual([])
  })

  it('and the main one say which migrations they lack, by both versions', async () => {
    const { main, tracking, caughtUp } = sites.paris.databases
    const rows = await tracking('geo_tracking_migrations')
      .where('name', 'like', '%add_failing_since%')
      .del()
      .returning('*')
    const latest = await main('knex_migrations_main')
      .where('name', 'like', '%create_geo_throughput%')
      .del()
      .returning('*')
    await caughtUp()
    const messages = (await sites.paris.assembly.viewing.health()).findings.map(
      ({ code, message }) => `${code} ${message}`,
    )
    expect(messages).toEqual([
      expect.stringMatching(
        /^MIGRATIONS_PENDING The main database is at migration \d+_\w+, this version needs \d+_\w+; missing: \d+_create_geo_throughput$/,
      ),
      expect.stringMatching(/^MIGRATIONS_PENDING The tracking database is at .*_add_failing_since_to_geo_site_status$/),
    ])
    await main('knex_migrations_main').insert(latest)
    await tracking('geo_tracking_migrations').insert(rows)
    await caughtUp()
    expect(await codesOf('paris')).toEqual([])
  })
})

describe('A replica', () => {
  const well: ReplicaState = { recovering: true, logical: false, receiving: true, replayedAgeSeconds: 4000 }
  it.each<[string, Partial<ReplicaState>, string[]]>([
    ['that receives, however quiet the primary is', {}, []],
    ['fed by an archive, which replays', { receiving: false, replayedAgeSeconds: 20 }, []],
    ['that neither receives nor replays', { receiving: false }, ['REPLICATION_NOT_WORKING']],
    ['that never did', { receiving: false, replayedAgeSeconds: null }, ['REPLICATION_NOT_WORKING']],
    ['that is writable', { recovering: false }, ['NOT_IN_RECOVERY']],
    ['by logical replication', { recovering: false, logical: true }, ['LOGICAL_REPLICA']],
  ])('%s', (_, state, codes) => {
    expect(judgeReplica({ ...well, ...state }).map(({ code }) => code)).toEqual(codes)
  })
})

it('A secondary asks whether its main database is a replica', async () => {
  const { assembly, databases } = sites.paris
  const health = await checkHealth({
    main: databases.main,
    tracking: databases.tracking,
    sites: assembly.sites,
    stores: assembly.stores,
    writableStores: { problem: async () => null },
    replicables: assembly.settings.replicables,
    eventRetentionMs: assembly.settings.eventRetentionMs,
    jobFailures: () => [],
    transferRefusal: () => null,
  })
  expect(health.status).toBe('unhealthy')
  expect(health.findings.map(({ code }) => code)).toContain('NOT_IN_RECOVERY')
})

it('Events that the primary keeps for an hour longer than it is told to are told of', async () => {
  const { main } = sites.paris.databases
  await insertEvents(main, 'widget', 'created', [{ recordId: '1' }])
  const old = (minutes: number) =>
    main('geo_events').update({ created_at: secondsFromNow(main, -60 * (7 * 24 * 60 + minutes)) })
  await old(59)
  expect(await codesOf('rome')).toEqual([])
  await old(61)
  const { status, findings } = await sites.rome.viewing.health()
  expect(status).toBe('healthy')
  expect(findings).toMatchObject([
    { code: 'EVENTS_KEPT', message: 'Events of the last 169 hours are kept, longer than `eventRetentionMs` says' },
  ])
  await main('geo_events').del()
})

it('Corrupt blobs of the primary are told of by number, from the gathering on', async () => {
  const { main } = sites.paris.databases
  const widget = await addHostRow(main, sites.paris.widgets)
  const gadget = await addHostRow(main, sites.paris.gadgets)
  const failed = { verification_state: 3, verification_failure: 'CORRUPT_ON_PRIMARY: the bytes have changed' }
  await main('widget_states').insert({ widget_id: widget, ...failed })
  await main('gadgets')
    .where({ id: gadget })
    .update({ ...failed, verification_failure: 'the disk is away' })
  expect(await codesOf('rome'), 'health counts nothing').toEqual([])
  await sites.gatherAll()
  const { status, findings } = await sites.rome.viewing.health()
  expect(findings).toMatchObject([
    { code: 'CORRUPT_ON_PRIMARY', message: '1 of the widgets on the primary are not as recorded' },
  ])
  expect(status).toBe('unhealthy')
  await main('widget_states').del()
  await sites.gatherAll()
  expect(await codesOf('rome')).toEqual([])
})

it('A backlog that grows for ten minutes is told of as a hint, and no longer once it shrinks', async () => {
  const { tracking } = sites.paris.databases
  const { gathering } = sites.paris.assembly.viewing
  let added = 0
  const minute = async (rows: number) => {
    sites.paris.clock.advance(60_000)
    while (rows-- > 0) await addRegistryRow(tracking, sites.paris.widgets, String(1000 + added++))
    await gathering.gather()
  }
  for (let passed = 0; passed < 11; passed++) await minute(5)
  expect(await messageOf('FALLING_BEHIND')).toMatch(
    /^Blobs that wait for their first attempt have grown from \d+ to \d+/,
  )
  expect((await sites.paris.assembly.viewing.health()).status).toBe('healthy')
  await tracking('widget_registry').del()
  await minute(0)
  expect(await codesOf('paris')).toEqual([])
})

it('A metrics job that does not get through is told of, but not by that job itself', async () => {
  const { tracking } = sites.paris.databases
  await tracking.raw(`update geo_site_status set gathered_at = gathered_at - interval '11 minutes'`)
  expect(await messageOf('STATUS_OUTDATED')).toMatch(/gathered 11 minutes ago/)
  await sites.paris.assembly.viewing.gathering.gather()
  const { rows } = await tracking.raw(`select status ->> 'health' as health from geo_site_status`)
  expect(rows[0].health).toBe('Healthy')
  expect(await codesOf('paris')).toEqual([])
})

it('Health runs few statements however many rows there are, and none that counts', async () => {
  const { tracking } = sites.paris.databases
  const { databases, viewing } = sites.paris.assembly
  const { health } = viewing
  const statements: string[] = []
  for (const db of [databases.main, databases.tracking])
    db?.on('query', ({ sql }: { sql: string }) => void statements.push(sql))
  for (let row = 0; row < 30; row++) await addRegistryRow(tracking, sites.paris.widgets, String(5000 + row))
  await health()
  expect(statements.filter((sql) => /count\s*\(/i.test(sql))).toEqual([])
  expect(statements.length).toBeLessThan(25)
})
