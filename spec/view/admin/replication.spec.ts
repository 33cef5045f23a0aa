import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SYNC_STATE } from '../../../lib/registry/sync-state.ts'
import { VERIFICATION_STATE } from '../../../lib/verification/verification-state.ts'
import { type AdminSites, createAdminSites, plain } from '../../support/admin-pages.ts'
import { registryRow } from '../../support/fixture-rows.ts'

let sites: AdminSites
beforeAll(async () => {
  sites = await createAdminSites()
})
afterAll(() => sites?.close())
beforeEach(async () => {
  const { main, tracking } = sites.paris.databases
  for (const table of ['widget_registry', 'gadget_registry', 'geo_bulk_runs']) await tracking(table).delete()
  await main('widgets').delete()
  sites.off.clear()
})

const VERIFIED = { state: SYNC_STATE.synced, verification_state: VERIFICATION_STATE.succeeded }
const FAILED = {
  state: SYNC_STATE.failed,
  retry_count: 7,
  retry_at: new Date('2999-01-01T00:00:00Z'),
  last_sync_failure: 'Not found <script>alert(1)</script>',
  error_code: 'FILE_NOT_FOUND',
}

const parisId = () => String(sites.rome.sites.byName('paris')?.id)
const list = () => `/sites/${parisId()}/replication/widgets`
const add = (columns = {}) => sites.add(sites.paris.widgets, columns)
const shownIds = (text: string) => [...text.matchAll(/<tr id="row-(\d+)"/g)].map(([, id]) => String(id))
const stateOf = async ({ recordId }: { recordId: string }) =>
  (await registryRow(sites.paris.databases.tracking, sites.paris.widgets, recordId))?.['state']
const hrefOf = (text: string, rel: string) => {
  const [, href] = new RegExp(`rel="${rel}" href="/admin/geo([^"]*)"`).exec(text) ?? []
  return href?.replaceAll('&amp;', '&')
}

describe.each(['rome', 'paris'] as const)('The list of registries, seen at %s,', (at) => {
  const see = async (query = '') => (await sites.see(`${list()}${query}`, { at })).text
  const send = (path: string, fields: Parameters<AdminSites['send']>[1]) =>
    sites.send(`${list()}/${path}`, fields, { at })

  it('has a page of twenty in either order, and leads to each row once, forwards and back', async () => {
    const added: string[] = []
    for (let row = 0; row < 45; row++) added.push((await add()).registryId)
    for (const [sort, expected] of [
      ['ID_ASC', added],
      ['ID_DESC', [...added].reverse()],
    ] as const) {
      let text = await see(`?sort=${sort}`)
      const pages = [shownIds(text)]
      for (let next = hrefOf(text, 'next'); next; next = hrefOf(text, 'next')) {
        text = (await sites.see(next, { at })).text
        pages.push(shownIds(text))
      }
      expect(pages.map((page) => page.length)).toEqual([20, 20, 5])
      expect(pages.flat()).toEqual(expected)
      text = (await sites.see(String(hrefOf(text, 'prev')), { at })).text
      expect(shownIds(text)).toEqual(pages[1])
      text = (await sites.see(String(hrefOf(text, 'prev')), { at })).text
      expect(shownIds(text)).toEqual(pages[0])
      expect(hrefOf(text, 'prev')).toBeUndefined()
    }
    expect(plain(await see())).toContain('Widgets: 45 Registries')
  })

  it('is filtered by states and ids, which stand in the address', async () => {
    const [verified, failed, pending] = [await add(VERIFIED), await add(FAILED), await add()]
    expect(shownIds(await see('?replication_status=failed'))).toEqual([failed.registryId])
    expect(shownIds(await see('?verification_status=succeeded'))).toEqual([verified.registryId])
    const ids = (text: string) => `?ids=${encodeURIComponent(text)}`
    expect(shownIds(await see(ids(`${pending.registryId} WidgetRegistry/${failed.registryId}`)))).toEqual([
      failed.registryId,
      pending.registryId,
    ])
    expect(shownIds(await see(ids(`gid://gitlab/Geo::WidgetRegistry/${failed.registryId}`)))).toEqual([
      failed.registryId,
    ])
    expect(shownIds(await see(ids(`Widget/${pending.recordId}`)))).toEqual([pending.registryId])
    const none = await see(ids('GadgetRegistry/1 <script>alert(1)</script>'))
    expect(shownIds(none)).toEqual([])
    expect(plain(none)).toContain('No results found')
    expect(none).not.toContain('<script>alert')
    expect(await see('?replication_status=failed&sort=ID_DESC')).toMatch(
      /<option value="failed" selected>[\s\S]*<option value="ID_DESC" selected>/,
    )
  })

  it('says when there is nothing, and when the flag is off', async () => {
    expect(plain(await see())).toContain('No Widgets exist')
    await add(VERIFIED)
    sites.off.add('widget')
    const text = await see()
    expect(plain(text)).toContain('Disabled: the flag geo_widget_replication is off here')
    expect(shownIds(text)).toEqual([])
  })

  it('refuses a cursor of another list', async () => {
    expect((await sites.see(`${list()}?after=nonsense`, { at })).status).toBe(400)
  })

  it('tells failures as text, whatever is in them', async () => {
    await add(FAILED)
    const text = await see()
    expect(text).not.toContain('<script>alert')
    expect(plain(text)).toContain('FILE_NOT_FOUND Replication failure: Not found <script>alert(1)</script>')
  })

  it('has one fetched again, and comes back to where it was', async () => {
    const [one, other] = [await add(FAILED), await add(FAILED)]
    const answer = await send('change?replication_status=failed', { resync: one.registryId })
    expect([answer.status, answer.headers.get('location')]).toEqual([
      303,
      `/admin/geo${list()}?replication_status=failed&done=resync-scheduled&n=1`,
    ])
    expect([await stateOf(one), await stateOf(other)]).toEqual([SYNC_STATE.pending, SYNC_STATE.failed])
  })

  it('has those fetched or hashed again that are selected', async () => {
    const [one, two, three] = [await add(VERIFIED), await add(VERIFIED), await add(VERIFIED)]
    await send('change', [
      ['id', one.registryId],
      ['id', three.registryId],
      ['selected', 'resync'],
    ])
    expect(await Promise.all([one, two, three].map(stateOf))).toEqual([
      SYNC_STATE.pending,
      SYNC_STATE.synced,
      SYNC_STATE.pending,
    ])
    await send('change', [
      ['id', two.registryId],
      ['selected', 'reverify'],
    ])
    const row = await registryRow(sites.paris.databases.tracking, sites.paris.widgets, two.recordId)
    expect(row?.['verification_state']).toBe(VERIFICATION_STATE.pending)
    const nothing = await send('change', { selected: 'resync' })
    expect(nothing.headers.get('location')).toContain('done=nothing-chosen')
    expect((await send('change', { id: one.registryId, selected: 'delete' })).status).toBe(400)
  })

  it('says so where another process has the row', async () => {
    const one = await add(FAILED)
    const { tracking } = sites.paris.databases
    const holder = await tracking.transaction()
    try {
      await holder('widget_registry').where('id', one.registryId).forUpdate()
      expect((await send('change', { resync: one.registryId })).headers.get('location')).toContain('done=some-busy&n=1')
    } finally {
      await holder.rollback()
    }
    expect(await stateOf(one)).toBe(SYNC_STATE.failed)
  })

  it('has all, or all failed ones, fetched again by a run that is watched and cancelled', async () => {
    const [failed, verified] = [await add(FAILED), await add(VERIFIED)]
    expect(plain((await sites.see(`${list()}/run?action=resync&only=failed`, { at })).text)).toContain(
      'Resync all failed widgets at paris?',
    )
    expect((await send('run', { action: 'resync', only: 'failed' })).headers.get('location')).toContain(
      'done=run-started',
    )
    expect(plain(await see())).toMatch(/Resync all failed ◔ Waiting 0 0 now by admin Cancel/)
    expect((await send('run', { action: 'resync', only: 'failed' })).headers.get('location')).toContain(
      'done=run-active',
    )
    await sites.paris.run('bulk')
    expect([await stateOf(failed), await stateOf(verified)]).toEqual([SYNC_STATE.pending, SYNC_STATE.synced])
    expect(plain(await see())).toMatch(/Resync all failed ✓ Finished 2 1/)

    await send('run', { action: 'reverify', only: '' })
    const [run] = await sites.paris.geo.bulk.list()
    expect((await send(`runs/${run?.id}/cancel`, {})).headers.get('location')).toContain('done=run-cancelled')
    expect((await sites.paris.geo.bulk.get(String(run?.id))).state).toBe('cancelled')
  })

  it('groups failures by code with advice, and has those of one code tried again', async () => {
    const other = { ...FAILED, error_code: 'HTTP_STATUS' }
    const added = [await add(FAILED), await add(FAILED), await add(other)]
    const text = plain((await sites.see(`${list()}/failures`, { at })).text)
    expect(text).toMatch(/FILE_NOT_FOUND 2 .*HTTP_STATUS 1/)
    expect((await send('failures', { code: 'FILE_NOT_FOUND' })).headers.get('location')).toContain('done=run-started')
    await sites.paris.run('bulk')
    expect(await Promise.all(added.map(stateOf))).toEqual([SYNC_STATE.pending, SYNC_STATE.pending, SYNC_STATE.failed])
    expect((await send('failures', { code: 'NOTHING' })).status).toBe(400)
  })

  it('leads to one registry with everything that is known of it, and back to it after a change', async () => {
    const key = 'widgets/<script>alert(1)</script>.txt'
    const { main, tracking, caughtUp } = sites.paris.databases
    const one = await add(VERIFIED)
    await main('widgets').where('id', one.recordId).update({ file_path: key })
    await caughtUp()
    const path = `${list()}/${one.registryId}`
    const { text } = await sites.see(path, { at })
    expect(text).not.toContain('<script>alert')
    const said = plain(text)
    for (const word of [
      'Registry information',
      `gid://gitlab/Geo::WidgetRegistry/${one.registryId}`,
      'Replication information',
      'Verification information',
      'Recorded on the primary',
      'Found on this site',
      'Events',
      key,
    ])
      expect(said).toContain(word)
    const answer = await send(`change?registry=${one.registryId}`, { resync: one.registryId })
    expect(answer.headers.get('location')).toBe(`/admin/geo${path}?done=resync-scheduled&n=1`)
    expect((await tracking('widget_registry').where('id', one.registryId).first())?.state).toBe(SYNC_STATE.pending)
  })

  it('tells the same rows again while it is live, whatever becomes of them', async () => {
    const [failed, other] = [await add(FAILED), await add(FAILED)]
    const text = await see('?replication_status=failed')
    const [, live] = /data-live="([^"]*)"/.exec(text) ?? []
    await send('change', { resync: failed.registryId })
    await add(FAILED)
    const again = await see(String(live).replaceAll('&amp;', '&'))
    expect(shownIds(again)).toEqual([failed.registryId, other.registryId])
    expect(again).toContain(`<tr id="row-${failed.registryId}" class="gone">`)
  })
})

describe('Registries of another site', () => {
  it('are kept in the audit logs of both when they are changed', async () => {
    const one = await add(FAILED)
    await sites.send(`${list()}/change`, { resync: one.registryId })
    for (const { audit } of [sites.rome, sites.paris.assembly]) {
      const [entry] = await audit.list({ limit: 1 })
      expect(entry).toMatchObject({ action: 'registry.resync', operator: 'admin', site: 'paris', outcome: 'done' })
    }
  })

  it('cannot be seen on a secondary, nor while the site is not reached', async () => {
    const { main, caughtUp } = sites.paris.databases
    const url = (await main('geo_nodes').where('name', 'paris').first())?.url
    await main('geo_nodes').where('name', 'paris').update({ url: 'http://127.0.0.1:1/' })
    await caughtUp()
    const away = await sites.see(list())
    await main('geo_nodes').where('name', 'paris').update({ url })
    await caughtUp()
    expect(away.status).toBe(503)
    expect(plain(away.text)).toMatch(/The site cannot be reached .*paris.* SITE_UNREACHABLE/)
  })

  it('are found by an address without a site: on a secondary its own, on the primary the only one', async () => {
    for (const at of ['rome', 'paris'] as const) {
      const answer = await sites.see('/replication/gadgets', { at })
      expect(answer.headers.get('location')).toBe(`/admin/geo/sites/${parisId()}/replication/gadgets`)
    }
  })
})
