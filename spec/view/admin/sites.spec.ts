import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SYNC_STATE } from '../../../lib/registry/sync-state.ts'
import { VERIFICATION_STATE } from '../../../lib/verification/verification-state.ts'
import { type AdminSites, createAdminSites, plain } from '../../support/admin-pages.ts'

let sites: AdminSites
beforeAll(async () => {
  sites = await createAdminSites()
  const { widgets } = sites.paris
  const verified = { state: SYNC_STATE.synced, verification_state: VERIFICATION_STATE.succeeded }
  for (const columns of [verified, verified, { state: SYNC_STATE.failed }, {}]) await sites.add(widgets, columns)
  await sites.gatherAll()
})
afterAll(() => sites?.close())
beforeEach(() => sites.rome.sites.refresh())
afterEach(async () => {
  const { main } = sites.paris.databases
  await main('geo_nodes').whereNotIn('name', ['rome', 'paris']).delete()
  await main('geo_nodes').where('name', 'paris').update({ enabled: true, files_max_capacity: 10 })
  await sites.paris.databases.caughtUp()
  sites.off.clear()
})

const idOf = (name: string) => String(sites.rome.sites.byName(name)?.id)
const nodes = () => sites.paris.databases.main('geo_nodes').orderBy('id')
const audits = async () =>
  (await sites.rome.audit.list({ limit: 100 })).map(({ action, subject, operator, outcome }) => [
    action,
    subject,
    operator,
    outcome,
  ])
const NEW = {
  name: 'oslo',
  url: 'https://oslo.test',
  filesMaxCapacity: '4',
  verificationMaxCapacity: '2',
  enabled: '1',
}

describe('The sites page', () => {
  it.each(['rome', 'paris'] as const)('shows at %s what each site is and how far it is', async (at) => {
    const text = plain((await sites.see('/sites', { at })).text)
    for (const word of [
      'Primary site',
      'Secondary sites',
      'Primary checksum progress',
      'Replication slots',
      'Replication summary',
      'Data replication lag',
      'Last event ID processed',
      'Replication Details',
      'Clock, against the primary',
    ])
      expect(text).toContain(word)
    // Two of four, and one failed; of the two that can be verified both are.
    expect(text).toMatch(/Synchronization of Widgets Total 4 Synced 2 Queued 1 Failed 1/)
    expect(text).toMatch(/Verification of Widgets Total 2 Verified 2 Queued 0 Failed 0/)
    expect(text).toContain('Synchronized ✕ 50%')
    expect(text).toContain('Verified ✓ 100%')
    expect(text).toContain('Nothing to synchronize')
  })

  it('says Disabled of a type whose flag is off', async () => {
    sites.off.add('gadget')
    await sites.gatherAll()
    const { text } = await sites.see('/sites')
    sites.off.clear()
    await sites.gatherAll()
    expect(text).toMatch(/Gadgets<\/th>\s*<td[^>]*><span class="quiet">Disabled/)
    expect((await sites.see('/sites')).text).not.toContain('>Disabled<')
  })

  it('has a tab with a count for each health that there is, and finds by name and URL', async () => {
    await sites.rome.sites.refresh()
    await sites.send('/sites', NEW)
    await sites.send('/sites', { ...NEW, name: 'bonn', enabled: '' })
    const all = await sites.see('/sites')
    expect(plain(all.text)).toMatch(/All 4 (Healthy|Unhealthy) 2 .*Disabled 1 Unknown 1/)
    const unknown = plain((await sites.see('/sites?status=unknown')).text)
    expect(unknown).toContain('oslo')
    expect(unknown).not.toContain('bonn')
    const found = plain((await sites.see('/sites?search=OSLO.te')).text)
    expect(found).toContain('oslo')
    expect(found).toContain('All 2')
    const none = await sites.see('/sites?search=nowhere')
    expect(plain(none.text)).toContain('No Geo site found')
    expect((await sites.see('/sites?status=%3Cb%3E&search=%3Cscript%3Ealert(1)%3C/script%3E')).text).not.toContain(
      '<script>alert',
    )
  })

  it('flags a version that is not that of the primary', async () => {
    const { main } = sites.paris.databases
    await main.raw(
      `update geo_node_statuses set status = jsonb_set(status, '{version}', '"9.9.9"') where geo_node_id = ?`,
      [idOf('paris')],
    )
    const { text } = await sites.see('/sites')
    expect(text).toContain(`<span class="bad-text">9.9.9, another than the primary's</span>`)
    await sites.gatherAll()
    expect((await sites.see('/sites')).text).not.toContain('another than the primary')
  })

  it('says how long a site is behind once it has read an event', async () => {
    const { main } = sites.paris.databases
    const shownAt = async (handled: number, writtenAt: number | null) => {
      const read = { cursor_last_event_id: handled, cursor_last_event_timestamp: writtenAt }
      const status = { last_event_id: 3128, last_event_timestamp: 1_795_676_400, ...read }
      await main.raw('update geo_node_statuses set status = status || ?::jsonb where geo_node_id = ?', [
        JSON.stringify(status),
        idOf('paris'),
      ])
      return plain((await sites.see('/sites')).text)
    }
    expect(await shownAt(0, null)).toContain('Full 3,128 events behind')
    expect(await shownAt(3098, 1_795_676_340)).toContain('Full 60 seconds behind (30 events)')
    await sites.gatherAll()
  })

  it('draws the last hour', async () => {
    const { text } = await sites.see('/sites')
    expect(text).toMatch(/<svg[^>]*aria-label="Backlog in the last hour: now 2, highest 2">/)
    expect(text).toMatch(/<path class="line"/)
  })

  it('has a first page where there is no site at all', async () => {
    const before = await nodes()
    const { main } = sites.paris.databases
    await main('geo_nodes').delete()
    await sites.rome.sites.refresh()
    const { status, text } = await sites.see('/sites')
    const form = await sites.see('/sites/new')
    await main('geo_nodes').insert(before)
    await sites.rome.sites.refresh()
    await sites.gatherAll()
    expect([status, plain(text)]).toEqual([200, expect.stringContaining('No sites yet')])
    expect(plain(form.text)).toContain('This is the primary site')
  })
})

describe('A site', () => {
  it('is added, changed and removed, each kept in the audit log', async () => {
    const kept = (await audits()).length
    const added = await sites.send('/sites', NEW)
    expect([added.status, added.headers.get('location')]).toEqual([303, '/admin/geo/sites?done=site-added'])
    expect(plain((await sites.see('/sites?done=site-added')).text)).toContain('The site has been added.')
    expect((await nodes()).at(-1)).toMatchObject({
      name: 'oslo',
      url: 'https://oslo.test/',
      files_max_capacity: 4,
      verification_max_capacity: 2,
      enabled: true,
    })

    await sites.rome.sites.refresh()
    const path = `/sites/${idOf('oslo')}`
    const form = (await sites.see(`${path}/edit`)).text
    expect(form).toMatch(/name="filesMaxCapacity"[^>]*>|value="4"[^>]*name="filesMaxCapacity"/)
    const change = {
      ...NEW,
      internalUrl: 'http://10.0.0.9',
      redirectHosts: 'Files.example\r\n\r\n 10.0.0.5:9000 ',
      filesMaxCapacity: '7',
      enabled: '',
      transferBytesPerSecond: '5000000',
      selectBy: 'shards',
      shards: 'a\r\n b \r\n\r\n',
    }
    expect((await sites.send(path, change)).headers.get('location')).toBe('/admin/geo/sites?done=site-saved')
    expect((await nodes()).at(-1)).toMatchObject({
      internal_url: 'http://10.0.0.9/',
      redirect_hosts: ['files.example', '10.0.0.5:9000'],
      files_max_capacity: 7,
      enabled: false,
      transfer_bytes_per_second: '5000000',
      selective_sync_type: 'shards',
      selective_sync_shards: ['a', 'b'],
    })

    expect((await sites.see(`${path}/edit`)).text).toMatch(
      /name="redirectHosts"[^>]*>files\.example\n10\.0\.0\.5:9000</,
    )

    expect(plain((await sites.see(`${path}/remove`)).text)).toContain('Remove site oslo?')
    expect((await sites.send(`${path}/remove`, {})).status).toBe(303)
    expect((await nodes()).map(({ name }) => name)).toEqual(['rome', 'paris'])
    expect((await audits()).slice(0, -kept || undefined)).toEqual([
      ['site.remove', 'oslo', 'admin', 'done'],
      ['site.update', 'oslo', 'admin', 'done'],
      ['site.add', 'oslo', 'admin', 'done'],
    ])
    const log = plain((await sites.see('/audit')).text)
    expect(log).toContain('site.add oslo')
    expect(log).toContain('"shards":["a","b"]')
  })

  it('is not added with what is wrong, and the form says where, with what was written', async () => {
    const wrong = {
      name: '',
      url: 'ftp://oslo.test',
      filesMaxCapacity: 'many',
      verificationMaxCapacity: '-1',
      enabled: '1',
      redirectHosts: 'files.example\nhttp://files.example',
      shards: '"><script>alert(1)</script>',
    }
    const { status, text } = await sites.send('/sites', wrong)
    expect(status).toBe(422)
    for (const field of ['name', 'url', 'filesMaxCapacity', 'verificationMaxCapacity', 'selectBy', 'redirectHosts'])
      expect(text).toMatch(new RegExp(`id="${field}-problem"`))
    expect(text).toContain('ftp://oslo.test')
    expect(text).toContain('many')
    expect(text).not.toContain('<script>alert')
    expect(await nodes()).toHaveLength(2)
  })

  it('has a name of its own', async () => {
    const { status, text } = await sites.send('/sites', { ...NEW, name: 'PARIS' })
    expect([status, plain(text)]).toEqual([422, expect.stringContaining('has already been taken')])
  })

  it('that is the primary stays while there are others', async () => {
    const page = await sites.see('/sites')
    expect(page.text).not.toContain(`/sites/${idOf('rome')}/remove`)
    const { status, text } = await sites.send(`/sites/${idOf('rome')}/remove`, {})
    expect([status, plain(text)]).toEqual([400, expect.stringContaining('cannot be removed while there are others')])
    expect(await nodes()).toHaveLength(2)
  })

  it('is changed on the primary alone; a secondary says where that is', async () => {
    const { text } = await sites.see('/sites', { at: 'paris' })
    expect(text).not.toMatch(/Add site|\/edit"/)
    expect(text).toContain(sites.url)
    const { status, text: refusal } = await sites.send('/sites', NEW, { at: 'paris' })
    expect([status, plain(refusal)]).toEqual([409, expect.stringContaining('READ_ONLY_SITE')])
    expect(await nodes()).toHaveLength(2)
  })
})

describe('The failover page', () => {
  it('says of each secondary what would be lost', async () => {
    const text = plain((await sites.see('/failover')).text)
    // Two of four rows are not verified.
    expect(text).toMatch(/paris ✕ Some 2 0/)
  })
})
