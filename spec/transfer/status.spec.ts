import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Assembly } from '../../lib/assembly.ts'
import { loadCursor } from '../../lib/event/cursor.ts'
import { assemble } from '../../lib/geo.ts'
import { parseOptions } from '../../lib/options.ts'
import { updateSite } from '../../lib/site-table.ts'
import { type ShiftedClock, shiftedClock } from '../../lib/testing/shifted-clock.ts'
import { signRequest, type TokenScope } from '../../lib/transfer/token.ts'
import { createPrimarySite, type PrimarySite } from '../support/primary-site.ts'
import { recordingLogger } from '../support/recording-logger.ts'

const REPORT = { cursor_xact_id: '7', cursor_last_event_id: '9', system_identifier: '1', timeline: 1 }

let tokyo: PrimarySite

beforeAll(async () => {
  tokyo = await createPrimarySite()
})
afterAll(() => tokyo.close())
beforeEach(() => tokyo.databases.main('geo_node_statuses').delete())

const NESTED = JSON.stringify({ ...REPORT, status: { widgets_count: 0 } }).replace(
  ':0',
  `:${'['.repeat(9000)}${']'.repeat(9000)}`,
)

const stored = () => tokyo.databases.main('geo_node_statuses').first()

async function post(
  authorization: string | null,
  body: unknown,
): Promise<{ status: number; code?: string | undefined }> {
  const response = await fetch(`${tokyo.url}/api/v4/geo/status`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(authorization && { authorization }) },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return { status: response.status, code: ((await response.json()) as { code?: string }).code }
}

const signed = (scope: TokenScope = { scope: 'geo_api' }) => tokyo.sign(scope)

describe('POST /api/v4/geo/status', () => {
  it('stores what a secondary says of itself, and when', async () => {
    expect(await post(await signed(), { ...REPORT, status: { widgets_count: 3 }, version: '1' })).toEqual({
      status: 201,
    })
    expect(await stored()).toMatchObject({
      geo_node_id: tokyo.paris.id,
      cursor_xact_id: '7',
      cursor_event_id: '9',
      system_identifier: '1',
      timeline: 1,
      status: { widgets_count: 3 },
      last_successful_status_check_at: expect.any(Date),
    })
    expect(await post(await signed(), { ...REPORT, cursor_last_event_id: '10' })).toEqual({ status: 201 })
    expect(await stored()).toMatchObject({ cursor_event_id: '10', status: {} })
  })

  it.each([
    ['a stranger', async () => null, REPORT, 401, 'UNAUTHORIZED'],
    ['a stranger before its body is read', async () => null, '{', 401, 'UNAUTHORIZED'],
    ['a token for a blob', () => signed({ replicable_name: 'widget', replicable_id: '1' }), REPORT, 401, 'TOKEN_SCOPE'],
    [
      'the primary itself',
      () => signRequest(tokyo.tokyo, tokyo.secretOf(tokyo.tokyo), { scope: 'geo_api' }, tokyo.clock),
      REPORT,
      400,
      'INVALID_REQUEST',
    ],
    ['a report without a position', () => signed(), { ...REPORT, cursor_xact_id: 'seven' }, 400, 'INVALID_REQUEST'],
    ['something that is no report', () => signed(), '{', 400, 'INVALID_REQUEST'],
    [
      'a transaction that no server has',
      () => signed(),
      { ...REPORT, cursor_xact_id: '18446744073709551616' },
      400,
      'INVALID_REQUEST',
    ],
    [
      'an event that no server has',
      () => signed(),
      { ...REPORT, cursor_last_event_id: '9223372036854775808' },
      400,
      'INVALID_REQUEST',
    ],
    ['a timeline that no server has', () => signed(), { ...REPORT, timeline: 2 ** 31 }, 400, 'INVALID_REQUEST'],
    ['a status with a NUL', () => signed(), { ...REPORT, status: { 'a\0': '\0' } }, 400, 'INVALID_REQUEST'],
    ['half a character', () => signed(), { ...REPORT, system_identifier: '\ud800' }, 400, 'INVALID_REQUEST'],
    ['a NUL', () => signed(), { ...REPORT, system_identifier: '\0' }, 400, 'INVALID_REQUEST'],
    ['a status that is nested deeply', () => signed(), NESTED, 400, 'INVALID_REQUEST'],
  ])('refuses %s', async (_, authorization, body, status, code) => {
    expect(await post(await authorization(), body)).toEqual({ status, code })
    expect(await stored()).toBeUndefined()
  })

  it('refuses one of a site that has just been removed', async () => {
    const authorization = await signed()
    const rows = tokyo.databases.main('geo_nodes').where({ name: 'paris' })
    const row = await rows.clone().first()
    // What the process knows of the sites is a moment old.
    expect(await post(authorization, REPORT)).toEqual({ status: 201 })
    await rows.clone().delete()
    try {
      expect(await post(authorization, REPORT)).toEqual({ status: 401, code: 'UNAUTHORIZED' })
    } finally {
      await tokyo.databases.main('geo_nodes').insert(row)
    }
  })

  it('takes figures that none can be, and has no sample of them', async () => {
    const status = {
      widgets_count: 1e308,
      widgets_synced_count: 'x',
      gadgets_count: -1.5,
      db_replication_lag_seconds: [],
    }
    expect(await post(await signed(), { ...REPORT, status })).toEqual({ status: 201 })
    expect((await stored()).status).toEqual(status)
  })

  it('refuses every report on a site that is not the primary', async () => {
    const sites = tokyo.databases.main('geo_nodes')
    await sites.clone().where({ name: 'tokyo' }).update({ primary: false })
    tokyo.clock.advance(6000)
    try {
      expect(await post(await signed(), REPORT)).toEqual({ status: 409, code: 'NOT_PRIMARY' })
    } finally {
      await sites.clone().where({ name: 'tokyo' }).update({ primary: true })
      tokyo.clock.advance(6000)
    }
    expect(await stored()).toBeUndefined()
  })

  it('refuses a site that is disabled, and gives its token no blob', async () => {
    await updateSite(tokyo.databases.main, 'paris', { enabled: false })
    tokyo.clock.advance(6000)
    expect(await post(await signed(), REPORT)).toEqual({ status: 403, code: 'SITE_DISABLED' })
    await updateSite(tokyo.databases.main, 'paris', { enabled: true })
    tokyo.clock.advance(6000)
    const response = await fetch(`${tokyo.url}/api/v4/geo/retrieve/widget/1`, {
      headers: { authorization: await signed() },
    })
    expect(response.status).toBe(401)
  })
})

describe('A secondary', () => {
  let paris: Assembly
  let clock: ShiftedClock

  beforeAll(async () => {
    clock = shiftedClock()
    await tokyo.databases.caughtUp()
    const { standby, tracking } = tokyo.databases
    paris = assemble(
      parseOptions({
        siteName: 'paris',
        mainDb: standby,
        trackingDb: tracking,
        replicables: [],
        encryptionKey: tokyo.encryptionKey,
        logger: recordingLogger(),
        clock,
        threads: 1,
      }),
    )
    await paris.sites.refresh()
  })
  afterAll(() => paris.stop())

  const run = (name: string) => paris.jobs.find((job) => job.name === name)?.run(new AbortController().signal)

  it('posts its position when it has moved, and once a minute', async () => {
    const { tracking, main } = tokyo.databases
    await run('report-position')
    expect(await stored()).toBeUndefined()
    await run('events')
    await run('report-position')
    const cursor = await loadCursor(tracking, 'paris')
    expect(await stored()).toMatchObject({
      cursor_xact_id: cursor?.xactId,
      cursor_event_id: cursor?.eventId,
      system_identifier: cursor?.systemIdentifier,
      timeline: cursor?.timeline,
    })
    await main('geo_node_statuses').delete()
    await run('report-position')
    expect(await stored()).toBeUndefined()
    await tracking('geo_event_cursors').update({ event_id: '12345' })
    await run('report-position')
    expect(await stored()).toMatchObject({ cursor_event_id: '12345' })
    await main('geo_node_statuses').delete()
    clock.advance(60_000)
    tokyo.clock.advance(60_000)
    await run('report-position')
    expect(await stored()).toMatchObject({ cursor_event_id: '12345' })
  })

  it('says why where the primary does not take it, and tries again', async () => {
    const { main } = tokyo.databases
    await main('geo_nodes').where({ id: tokyo.tokyo.id }).update({ internal_url: 'http://127.0.0.1:9/' })
    await tokyo.databases.caughtUp()
    await paris.sites.refresh()
    clock.advance(60_000)
    tokyo.clock.advance(60_000)
    await expect(run('report-position')).rejects.toMatchObject({ code: 'PRIMARY_UNREACHABLE' })
    await main('geo_nodes').where({ id: tokyo.tokyo.id }).update({ internal_url: null })
    await tokyo.databases.caughtUp()
    await paris.sites.refresh()
    await run('report-position')
    expect(await stored()).toBeDefined()
  })
})
