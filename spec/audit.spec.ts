import request from 'supertest'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { AskedChange, AuditEntry } from '../lib/audit.ts'
import { GeoError } from '../lib/errors.ts'
import { SYNC_STATE } from '../lib/registry/sync-state.ts'
import { signRequest } from '../lib/transfer/token.ts'
import { addHostRow, addRegistryRow, registryRow } from './support/fixture-rows.ts'
import { createGraphqlSites, type GraphqlSites } from './support/graphql-sites.ts'

let sites: GraphqlSites
beforeAll(async () => {
  sites = await createGraphqlSites()
})
afterAll(() => sites?.close())
beforeEach(async () => {
  for (const db of databases()) await db('geo_audit_events').delete()
})

const databases = () => [sites.paris.databases.main, sites.paris.databases.tracking] as const
const audits = () => ({ rome: sites.rome.audit, paris: sites.paris.assembly.audit })

const ASKED: AskedChange = {
  operator: 'ann',
  ip: '10.0.0.7',
  site: 'paris',
  action: 'site.update',
  subject: 'paris',
  details: { enabled: false },
}

describe.each(['rome', 'paris'] as const)('The audit log of %s', (name) => {
  const audit = () => audits()[name]
  const newest = async (): Promise<AuditEntry | undefined> => (await audit().list({ limit: 1 }))[0]
  const writable = () => databases()[name === 'rome' ? 0 : 1]

  it('keeps who asked for what, when and from where, in the database that the site writes', async () => {
    let meanwhile: string | undefined
    const result = await audit().during(ASKED, async () => {
      meanwhile = (await newest())?.outcome
      return 'a result'
    })
    expect([result, meanwhile]).toEqual(['a result', 'asked'])
    expect(await newest()).toEqual({
      ...ASKED,
      id: expect.stringMatching(/^\d+$/),
      at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      outcome: 'done',
    })
    const counts = await Promise.all(databases().map((db) => db('geo_audit_events')))
    expect(counts.map(({ length }) => length)).toEqual(name === 'rome' ? [1, 0] : [0, 1])
  })

  it('says with which code a change was refused or failed', async () => {
    const failures = [
      [new GeoError('BULK_RUN_ACTIVE', 'Another one'), 'BULK_RUN_ACTIVE'],
      [Object.assign(new Error('Connection terminated unexpectedly')), 'DATABASE_UNAVAILABLE'],
      [new Error('ROLLBACK - Client has encountered a connection error and is not queryable'), 'DATABASE_UNAVAILABLE'],
      [new Error('a mistake of ours'), 'INTERNAL'],
    ] as const
    for (const [failure, outcome] of failures) {
      await expect(audit().during(ASKED, () => Promise.reject(failure))).rejects.toBe(failure)
      expect(await newest()).toMatchObject({ outcome })
    }
  })

  it('where it cannot be written, nothing is done', async () => {
    let done = false
    await writable().raw('alter table geo_audit_events rename to elsewhere')
    const refused = audit().during(ASKED, async () => {
      done = true
    })
    await expect(refused).rejects.toThrow(/geo_audit_events/)
    await writable().raw('alter table elsewhere rename to geo_audit_events')
    expect(done).toBe(false)
  })

  it('what is done stays done where its end cannot be noted', async () => {
    const { logger } = sites.paris
    logger.clear()
    const result = await audit().during(ASKED, async () => {
      await writable().raw('alter table geo_audit_events rename to elsewhere')
      return 7
    })
    await writable().raw('alter table elsewhere rename to geo_audit_events')
    expect([result, (await newest())?.outcome]).toEqual([7, 'asked'])
    expect(logger.lines.map(({ level, fields }) => [level, fields['outcome']])).toEqual([
      ['info', 'done'],
      ['warn', 'done'],
    ])
    expect(logger.lines[0]?.fields).toMatchObject({ operator: 'ann', ip: '10.0.0.7', action: 'site.update' })
  })

  it('is read page by page, the newest first', async () => {
    for (let n = 0; n < 5; n += 1) await audit().during({ ...ASKED, subject: `change ${n}` }, async () => undefined)
    const seen: (string | null)[][] = []
    let page = await audit().list({ limit: 2 })
    while (page.length > 0) {
      seen.push(page.map(({ subject }) => subject))
      page = await audit().list({ before: page.at(-1)?.id ?? null, limit: 2 })
    }
    expect(seen).toEqual([['change 4', 'change 3'], ['change 2', 'change 1'], ['change 0']])
    await expect(audit().list({ before: '1 or 1', limit: 2 })).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
  })

  it('forgets after a year', async () => {
    for (const days of [366, 364]) {
      await audit().during({ ...ASKED, subject: `${days} days` }, async () => undefined)
      await writable().raw(
        `update geo_audit_events set created_at = now() - ? * interval '1 day' where subject = '${days} days'`,
        [days],
      )
    }
    await audit().during({ ...ASKED, subject: 'today' }, async () => undefined)
    expect((await audit().list({ limit: 9 })).map(({ subject }) => subject)).toEqual(['today', '364 days'])
  })

  it('keeps what no text of PostgreSQL can hold, without it', async () => {
    const asked = { ...ASKED, operator: 'a\0b', details: { name: '\ud800\0x', long: 'y'.repeat(9) } }
    await audit().during(asked, async () => undefined)
    expect(await newest()).toMatchObject({ operator: 'ab', details: { name: '\ufffdx' }, outcome: 'done' })
  })
})

describe('Of the REST API the log keeps', () => {
  const send = (method: 'post' | 'put' | 'delete', path: string, body: object, as = 'admin', at = sites.url) =>
    request(at)[method](`api/v4/geo_nodes${path}`).set('x-role', as).send(body)
  const kept = async (audit = sites.rome.audit) =>
    (await audit.list({ limit: 9 })).map(({ action, site, operator, details, outcome }) => [
      action,
      site,
      operator,
      details,
      outcome,
    ])

  it('sites that are added, changed and removed, and what is refused', async () => {
    const { body } = await send('post', '', { name: 'lyon', url: 'https://lyon.test', secret: 'not a parameter' })
    await send('post', '', { name: 'lyon', url: 'https://lyon.test' })
    await send('put', `/${body.id}`, { enabled: false })
    await send('delete', `/${body.id}`, {})
    await send('delete', `/${body.id}`, {})
    expect((await kept()).reverse()).toEqual([
      ['site.add', 'lyon', 'admin', { name: 'lyon', url: 'https://lyon.test' }, 'done'],
      ['site.add', 'lyon', 'admin', { name: 'lyon', url: 'https://lyon.test' }, 'SITE_EXISTS'],
      ['site.update', 'lyon', 'admin', { enabled: false }, 'done'],
      ['site.remove', 'lyon', 'admin', {}, 'done'],
      ['site.remove', `#${body.id}`, 'admin', {}, 'SITE_UNKNOWN'],
    ])
    expect((await sites.rome.audit.list({ limit: 1 }))[0]?.ip).toMatch(/127\.0\.0\.1$/)
  })

  it('on a secondary what it turned away', async () => {
    const { status } = await send('post', '', { name: 'nice', url: 'https://nice.test' }, 'admin', sites.parisUrl)
    expect(status).toBe(403)
    expect(await kept(sites.paris.assembly.audit)).toEqual([
      ['site.add', 'nice', 'admin', { name: 'nice', url: 'https://nice.test' }, 'READ_ONLY_SITE'],
    ])
  })

  it('what a site signs of itself where it changes something, however often it signs', async () => {
    const put = async (enabled: boolean | null, at = sites.url) => {
      const paris = sites.rome.sites.byName('paris')
      if (!paris) throw new Error('There is no paris')
      const authorization = await signRequest(
        paris,
        sites.rome.sites.secretOf(paris),
        { scope: 'geo_api' },
        sites.rome.settings.clock,
      )
      const asked = request(at).put(`api/v4/geo_nodes/${paris.id}`).set('authorization', authorization)
      const { status, body } = await asked.send({ enabled })
      return [status, body.enabled ?? body.geo_code]
    }
    expect(await put(true)).toEqual([200, true])
    expect(await put(null)).toEqual([200, true])
    expect(await put(false, sites.parisUrl)).toEqual([403, 'READ_ONLY_SITE'])
    expect(await Promise.all(databases().map((db) => db('geo_audit_events')))).toEqual([[], []])
    expect(await put(false)).toEqual([200, false])
    expect(await put(false)).toEqual([200, false])
    expect(await put(true)).toEqual([200, true])
    expect((await kept()).map(([, , , details]) => details)).toEqual([
      { enabled: true, signed_by: 'paris' },
      { enabled: false, signed_by: 'paris' },
    ])
  })

  it('nothing of strangers, who change nothing', async () => {
    expect((await send('post', '', { name: 'nice', url: 'https://nice.test' }, 'reader')).status).toBe(403)
    expect(await kept()).toEqual([])
  })
})

describe('Of GraphQL the log keeps', () => {
  const kept = async () =>
    (await sites.paris.assembly.audit.list({ limit: 9 })).map(({ action, subject, operator, details, outcome }) => [
      action,
      subject,
      operator,
      details,
      outcome,
    ])

  it('registries that are updated, bulk runs that are started, and those that are ended', async () => {
    const { main, tracking } = sites.paris.databases
    const recordId = await addHostRow(main, sites.paris.widgets)
    await addRegistryRow(tracking, sites.paris.widgets, recordId, { state: SYNC_STATE.failed, last_sync_failure: 'no' })
    const row = await registryRow(tracking, sites.paris.widgets, recordId)
    const update = (action: string) => `mutation { geoRegistriesUpdate(input: {
      registryId: "gid://gitlab/Geo::WidgetRegistry/${row?.['id']}", action: ${action} }) { errors } }`
    const start = `mutation { geoRegistriesBulkUpdate(input: {
      registryClass: WIDGET_REGISTRY, action: RESYNC_ALL, replicationState: FAILED }) { errors run { id } } }`
    await sites.data(update('RESYNC'))
    const { geoRegistriesBulkUpdate } = await sites.data<{ geoRegistriesBulkUpdate: { run: { id: string } } }>(start)
    await sites.data(start)
    const { id } = geoRegistriesBulkUpdate.run
    await sites.data(`mutation { geoBulkRunCancel(input: { id: "${id}" }) { errors } }`)
    await sites.data('mutation { geoBulkRunCancel(input: { id: "999999" }) { errors } }')
    await sites.ask(update('REVERIFY'), { as: 'reader' })
    const details = { action: 'resync', syncState: 'failed' }
    expect((await kept()).reverse()).toEqual([
      ['registry.resync', `widget #${recordId}`, 'admin', {}, 'done'],
      ['bulk.start', 'widget', 'admin', details, 'done'],
      ['bulk.start', 'widget', 'admin', details, 'BULK_RUN_ACTIVE'],
      ['bulk.cancel', `run #${id}`, 'admin', {}, 'done'],
      ['bulk.cancel', 'run #999999', 'admin', {}, 'BULK_RUN_UNKNOWN'],
    ])
  })

  it('what the primary has passed on, for whom and from where', async () => {
    const paris = sites.rome.sites.byName('paris')
    const { status } = await request(sites.url)
      .post(`api/v4/geo/node_proxy/${paris?.id}/graphql`)
      .set('x-role', 'admin')
      .send({ query: 'mutation { geoBulkRunCancel(input: { id: "999998" }) { errors } }' })
    expect(status).toBe(200)
    const [entry] = await sites.paris.assembly.audit.list({ limit: 1 })
    expect(entry).toMatchObject({
      operator: 'admin',
      subject: 'run #999998',
      ip: expect.stringMatching(/127\.0\.0\.1$/),
    })
  })
})
