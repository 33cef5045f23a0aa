import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { SYNC_STATE } from '../../../lib/registry/sync-state.ts'
import { type AdminSites, createAdminSites, plain } from '../../support/admin-pages.ts'
import { registryRow } from '../../support/fixture-rows.ts'

let sites: AdminSites
let registryId: string
let recordId: string
beforeAll(async () => {
  sites = await createAdminSites()
  ;({ registryId, recordId } = await sites.add(sites.paris.widgets, { state: SYNC_STATE.synced }))
})
afterAll(() => sites?.close())
afterEach(() => sites.off.clear())

const PARIS = () => sites.rome.sites.byName('paris')?.id
const list = () => `/sites/${PARIS()}/replication/widgets`

/** Every path that there is, with a form where it takes one. */
function doors(): { get: string[]; post: [string, Record<string, string>][] } {
  const site = `/sites/${PARIS()}`
  return {
    get: [
      '',
      '/nodes',
      '/sites',
      '/sites/new',
      `${site}/edit`,
      `${site}/remove`,
      '/replication',
      '/replication/widgets',
      `${site}/replication`,
      list(),
      `${list()}/${registryId}`,
      `${list()}/failures`,
      `${list()}/run?action=resync`,
      '/failover',
      '/audit',
      '/assets/admin.css',
      '/nothing',
    ],
    post: [
      ['/sites', { name: 'oslo', url: 'http://oslo.test' }],
      [site, { name: 'lyon', url: 'http://lyon.test', verificationMaxCapacity: '3', filesMaxCapacity: '3' }],
      [`${site}/remove`, {}],
      [`${list()}/change`, { resync: registryId }],
      [`${list()}/run`, { action: 'resync', only: '' }],
      [`${list()}/failures`, { code: 'HTTP_STATUS' }],
      [`${list()}/runs/1/cancel`, {}],
    ],
  }
}

/** All that a change could have changed. */
async function state(): Promise<unknown> {
  const { main, tracking } = sites.paris.databases
  return {
    nodes: await main('geo_nodes').orderBy('id').select('id', 'name', 'url', 'enabled', 'files_max_capacity'),
    runs: await tracking('geo_bulk_runs'),
    row: (await registryRow(tracking, sites.paris.widgets, recordId))?.['state'],
    audits: await Promise.all([main, tracking].map((db) => db('geo_audit_events').count())),
  }
}

describe.each(['rome', 'paris'] as const)('The admin pages of %s', (at) => {
  it('show a stranger nothing, not even the name of the site, whatever he asks for', async () => {
    for (const path of doors().get) {
      const { status, text } = await sites.see(path, { as: 'nobody', at })
      expect([path, status]).toEqual([path, 403])
      expect(text).not.toMatch(/paris|rome|geo-admin|stylesheet/i)
      expect((await sites.see(path, { as: 'nobody', at, headers: { accept: 'text/event-stream' } })).status).toBe(403)
    }
  })

  it('change nothing for strangers and readers', async () => {
    const before = await state()
    for (const as of ['nobody', 'reader'] as const) {
      for (const [path, fields] of doors().post) {
        expect([as, path, (await sites.send(path, fields, { as, at })).status]).toEqual([as, path, 403])
      }
    }
    expect(await state()).toEqual(before)
  })

  it('offer a reader no change', async () => {
    for (const path of ['/sites', list(), `${list()}/${registryId}`, `${list()}/failures`, '/failover', '/audit']) {
      const { status, text } = await sites.see(path, { as: 'reader', at })
      expect([path, status]).toEqual([path, 200])
      expect(text).not.toMatch(/method="post"|Resync|Reverify|Add site|\/edit"|\/remove"|type="checkbox"/)
    }
    for (const path of [
      '/sites/new',
      `/sites/${PARIS()}/edit`,
      `/sites/${PARIS()}/remove`,
      `${list()}/run?action=resync`,
    ])
      expect((await sites.see(path, { as: 'reader', at })).status).toBe(403)
  })

  it.each([
    ['from another origin', { origin: 'https://evil.test' }],
    ['from another origin, as the browser says', { 'sec-fetch-site': 'cross-site' }],
    ['from a sibling domain', { 'sec-fetch-site': 'same-site' }],
    ['typed into the address bar', { 'sec-fetch-site': 'none' }],
    ['with an origin that is hidden', { origin: 'null' }],
    ['with an origin that only begins alike', { origin: 'http://127.0.0.1.evil.test' }],
    ['without an origin', { origin: '' }],
  ])('refuse every change that is asked for %s', async (_, headers) => {
    const before = await state()
    for (const [path, fields] of doors().post) {
      const { status, text } = await sites.send(path, fields, { at, headers })
      expect([path, status]).toEqual([path, 403])
      expect(plain(text)).toContain('CROSS_ORIGIN')
    }
    expect(await state()).toEqual(before)
  })

  it('send headers by which a browser runs nothing but our own script, and shows them in no frame', async () => {
    for (const path of ['/sites', list(), '/nothing']) {
      const { headers, text } = await sites.see(path, { at })
      const policy = headers.get('content-security-policy') ?? ''
      expect(policy).toContain("default-src 'none'")
      expect(policy).not.toMatch(/unsafe|\*|http/)
      expect(policy).toContain("frame-ancestors 'none'")
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('cache-control')).toBe('no-store')
      // Nothing that such a policy would stop.
      expect(text).not.toMatch(/<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|javascript:/i)
      const loaded = [...text.matchAll(/<(?:script|link|img)[^>]*?(?:src|href)="([^"]*)"/g)].map(([, url]) => url)
      expect(loaded.filter((url) => !/^(\/|data:,)/.test(url ?? ''))).toEqual([])
    }
  })

  it('know a page from none', async () => {
    const site = `/sites/${PARIS()}`
    const rome = `/sites/${sites.rome.sites.byName('rome')?.id}`
    const none = [
      '/nothing',
      '/sites/999/edit',
      '/sites/999/replication/widgets',
      `${site}/replication/nothing`,
      `${list()}/999999`,
      `${list()}/x`,
      `${rome}/replication/widgets`,
      `${list()}/run`,
      '/replication/nothing',
      '/assets/admin-0000000000000000.css',
    ]
    for (const path of none) {
      const { status, text } = await sites.see(path, { at })
      expect([path, status]).toEqual([path, 404])
      expect(text).toContain('<html lang="en"')
    }
  })
})

describe('Admin pages of a host', () => {
  it('lie wherever it mounts the router, and take forms that it has read itself', async () => {
    const app = express()
      .use(express.urlencoded({ extended: true }))
      .use('/back/office', sites.rome.router)
    const server = createServer(app)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const headers = { 'x-role': 'admin', origin }
    try {
      const answer = await fetch(`${origin}/back/office/admin/geo`, { headers })
      expect(new URL(answer.url).pathname).toBe('/back/office/admin/geo/sites')
      const text = await answer.text()
      const links = [...text.matchAll(/(?:href|src|action)="(\/[^"]*)"/g)].map(([, link]) => String(link))
      expect(links.length).toBeGreaterThan(10)
      for (const link of new Set(links)) {
        expect(link.startsWith('/back/office/admin/geo/')).toBe(true)
        expect([link, (await fetch(`${origin}${link}`, { headers })).status]).toEqual([link, 200])
      }
      const body = new URLSearchParams({ name: '', url: 'http://oslo.test' })
      const refused = await fetch(`${origin}/back/office/admin/geo/sites`, { method: 'POST', headers, body })
      expect(refused.status).toBe(422)
    } finally {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  })

  it('answer with a page where a database is away', async () => {
    const { main } = sites.rome.databases
    await main.destroy()
    const { status, text } = await sites.see('/sites')
    main.initialize()
    expect(status).toBe(503)
    expect(plain(text)).toContain('DATABASE_UNAVAILABLE')
    expect(text).not.toMatch(/select|knex/i)
  })
})
