import { Gitlab } from '@gitbeaker/rest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createReadingSites, type ReadingSites } from '../support/reading-sites.ts'

const TOKEN = 'of-an-administrator'

let sites: ReadingSites
let api: InstanceType<typeof Gitlab>
let stranger: InstanceType<typeof Gitlab>

beforeAll(async () => {
  sites = await createReadingSites()
  const authorize = (request: { headers: object }) =>
    (request.headers as Record<string, string>)['private-token'] === TOKEN
  const { url } = await sites.serveAlso('tokyo', { options: { authorize } })
  api = new Gitlab({ host: url, token: TOKEN })
  const { main } = sites.databases
  await main.raw('insert into geo_node_statuses (geo_node_id, updated_at) select id, now() from geo_nodes')
  stranger = new Gitlab({ host: url, token: 'of-nobody' })
})
afterAll(() => sites?.close())

/** A published client for GitLab's API, as it is. */
describe.each(['GeoNodes', 'GeoSites'] as const)('The GitLab client of @gitbeaker/rest, its %s', (resource) => {
  it('lists all sites over several pages, with their statuses, and shows one', async () => {
    const all = (await api[resource].all({ perPage: 1, maxPages: 9 })) as { id: number; name: string }[]
    expect(all.map(({ name }) => name)).toEqual(['tokyo', 'paris'])
    const statuses = (await api[resource].allStatuses()) as unknown as { geo_node_id: number }[]
    expect(statuses.map((status) => status.geo_node_id)).toEqual(all.map(({ id }) => id))
    const [, paris] = all
    if (!paris) throw new Error('There is no second site')
    expect(await api[resource].show(paris.id)).toMatchObject({ name: 'paris', primary: false, enabled: true })
    expect(await api[resource].showStatus(paris.id)).toMatchObject({
      geo_node_id: paris.id,
      health_status: 'Healthy',
    })
    expect(await api[resource].repair(paris.id)).toMatchObject({ geo_node_id: paris.id })
  })

  it('adds a site, changes it and removes it', async () => {
    const added = (await api[resource].create('oslo', 'https://oslo.test', { filesMaxCapacity: 3 })) as { id: number }
    expect(added).toMatchObject({ name: 'oslo', url: 'https://oslo.test/', files_max_capacity: 3 })
    expect(await api[resource].edit(added.id, { enabled: false, selectiveSyncType: 'shards' })).toMatchObject({
      enabled: false,
      selective_sync_type: 'shards',
    })
    await api[resource].remove(added.id)
    await expect(api[resource].show(added.id)).rejects.toMatchObject({ cause: { response: { status: 404 } } })
  })

  it('is told in its own words what is wrong, and that a stranger may not', async () => {
    await expect(api[resource].create('', 'nonsense')).rejects.toMatchObject({ cause: { response: { status: 400 } } })
    await expect(stranger[resource].all()).rejects.toMatchObject({ cause: { response: { status: 403 } } })
  })
})
