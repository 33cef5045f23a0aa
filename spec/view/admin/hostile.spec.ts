import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { SYNC_STATE } from '../../../lib/registry/sync-state.ts'
import { type AdminSites, createAdminSites } from '../../support/admin-pages.ts'
import { asRole } from '../../support/graphql-sites.ts'

let sites: AdminSites
let registryId: string
/** What the host's functions do beside what they do in every spec. */
let failing: 'operator' | 'authorize' | null = null
beforeAll(async () => {
  sites = await createAdminSites({
    both: {
      authorize: (request, ability) => {
        if (failing === 'authorize') throw new Error('session store at 10.0.0.7 is away')
        return asRole.authorize?.(request, ability) ?? false
      },
      operator: (request) => {
        if (failing === 'operator') throw new Error('session store at 10.0.0.7 is away')
        return asRole.operator?.(request) ?? null
      },
    },
  })
  ;({ registryId } = await sites.add(sites.paris.widgets, { state: SYNC_STATE.synced }))
})
afterAll(() => sites?.close())
afterEach(() => {
  failing = null
})

const list = () => `/sites/${sites.rome.sites.byName('paris')?.id}/replication/widgets`

/** A request as no form of ours sends it. */
async function raw(path: string, init: RequestInit) {
  const headers = { 'x-role': 'admin', origin: new URL(sites.url).origin, ...(init.headers as Record<string, string>) }
  const answer = await fetch(`${sites.url}admin/geo${path}`, { redirect: 'manual', ...init, headers })
  return { status: answer.status, headers: answer.headers, text: await answer.text() }
}

/** A page of ours, in its frame, that tells nothing of what is beneath. */
function expectPage({ status, text }: { status: number; text: string }, expected: number): void {
  expect([status, text]).toEqual([expected, expect.stringContaining('<html lang="en"')])
  expect(text).not.toMatch(/node_modules|at async|\.ts:\d+|10\.0\.0\.7/)
}

describe('The admin pages', () => {
  it('let nobody in, and make no change, where a function of the host fails', async () => {
    failing = 'authorize'
    expect((await sites.see('/sites')).status).toBe(403)
    failing = 'operator'
    for (const path of ['/sites', list(), '/nothing'])
      expectPage(await sites.see(path), path === '/nothing' ? 404 : 200)
    const refused = await sites.send('/sites', { name: 'oslo', url: 'http://oslo.test' })
    expectPage(refused, 500)
    expect(await sites.paris.databases.main('geo_nodes').pluck('name')).toEqual(['rome', 'paris'])
  })

  it.each([
    ['more fields than any form has', 413, { body: Array.from({ length: 10_000 }, (_, id) => `id=${id}`).join('&') }],
    ['a body that is too long', 413, { body: `id=${'1'.repeat(300_000)}` }],
    ['a body in no charset that is known', 400, { body: 'id=1', type: 'application/x-www-form-urlencoded; charset=x' }],
    ['JSON', 400, { body: '{"resync":"1"}', type: 'application/json' }],
    ['broken JSON', 400, { body: '{', type: 'application/json' }],
    ['a form of several parts', 400, { body: '--x\r\n\r\n--x--', type: 'multipart/form-data; boundary=x' }],
    ['nothing', 400, { body: '' }],
  ])(
    'answer a change with %s as a page',
    async (_, status, { body, type = 'application/x-www-form-urlencoded' }: { body: string; type?: string }) => {
      expectPage(await raw(`${list()}/change`, { method: 'POST', body, headers: { 'content-type': type } }), status)
    },
  )

  it('answer addresses that nothing can lie at as pages', async () => {
    const far = '9'.repeat(18)
    for (const [path, status] of [
      ['/sites/%E0%A4%A/edit', 400],
      ['/sites/__proto__/edit', 404],
      [`/sites/${far}9/replication/widgets`, 404],
      [`${list()}/${far}`, 404],
      [`${list()}/${far}9`, 404],
      [`${list()}/0`, 404],
      [`${list()}/-1`, 404],
      [`${list()}/%00`, 404],
      [`${list()}?after=${Buffer.from('{}').toString('base64url')}`, 400],
      [`/audit?before=${far}9`, 400],
      [`/audit?before=${far}`, 200],
      [`/failover/${far}`, 404],
      [`/failover/${sites.rome.sites.byName('rome')?.id}`, 404],
    ] as const)
      expect([path, (await sites.see(path)).status]).toEqual([path, status])
    expectPage(await sites.see('/sites/%E0%A4%A/edit'), 400)
    for (const run of [far, `${far}9`, 'x', '%00'])
      expectPage(await sites.send(`${list()}/runs/${run}/cancel`, {}), 404)
  })

  it('find nothing by ids that there cannot be, and pass over what is no id', async () => {
    const rows = async (query: string) =>
      (await sites.see(`${list()}?${query}`)).text.match(/<tr id="row-/g)?.length ?? 0
    const many = encodeURIComponent(Array.from({ length: 10_000 }, (_, id) => id + 1_000_000).join(' '))
    for (const query of [
      `ids=${'9'.repeat(18)}`,
      `ids=${'9'.repeat(19)}`,
      'ids=Widget/9223372036854775808',
      'ids=Widget/%00',
      'ids=%00',
      `ids=${many.slice(0, 12_000)}`,
      `shown=${'9'.repeat(18)}`,
      'shown=',
      'shown=x,y,-1',
      'replication_status=__proto__&ids=9',
    ])
      expect([query, await rows(query)]).toEqual([query, 0])
    expect(await rows(`shown=${registryId}`)).toBe(1)
    expect(
      await rows(`ids[]=1&sort=__proto__&verification_status=constructor&replication_status=a&replication_status=b`),
    ).toBe(1)
  })

  it('refuse what no database holds as any other wrong field', async () => {
    const fields = { name: 'os\0lo', url: 'http://oslo.test', verificationMaxCapacity: '1', filesMaxCapacity: '1' }
    expectPage(await sites.send('/sites', fields), 422)
    expectPage(await sites.send('/sites', { ...fields, name: 'o'.repeat(300) }), 422)
    const selected = { ...fields, name: 'oslo', selectBy: 'shards', shards: 'a\0' }
    expectPage(await sites.send('/sites', selected), 422)
    const huge = { ...fields, name: 'oslo', filesMaxCapacity: '9'.repeat(15) }
    expectPage(await sites.send('/sites', huge), 422)
  })

  it('answer HEAD as GET, without a body, and never stay open for it', async () => {
    for (const path of ['/sites', list(), '/nothing']) {
      const seen = await sites.see(path)
      const head = await raw(path, { method: 'HEAD', headers: { accept: 'text/event-stream' } })
      expect([path, head.status, head.text]).toEqual([path, seen.status, ''])
      expect(head.headers.get('content-type')).toBe('text/html; charset=utf-8')
    }
  })

  it('speak numbers in the language that the browser asks for, and in English where it asks for none that is known', async () => {
    for (const [asked, language] of [
      ['de-AT,de;q=0.9,en;q=0.5', 'de-AT'],
      ['"><script>', 'en'],
      ['x-klingon, *', 'en'],
    ] as const) {
      const { text } = await sites.see('/sites', { headers: { 'accept-language': asked } })
      expect(text).toContain(`<html lang="en" data-language="${language}">`)
    }
  })

  it('send the smallest body that the browser takes', async () => {
    const asked = async (accepted: string) =>
      (await raw('/sites', { headers: { 'accept-encoding': accepted } })).headers.get('content-encoding')
    expect(await asked('gzip, deflate, br, zstd')).toBe('br')
    expect(await asked('gzip, deflate')).toBe('gzip')
    expect(await asked('identity')).toBeNull()
    expect(await asked('br;q=0, gzip;q=0')).toBeNull()
    const { headers } = await raw('/sites', {})
    expect(headers.get('vary')).toContain('Accept-Encoding')
  })
})
