import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SYNC_STATE } from '../../../lib/registry/sync-state.ts'
import { addHostRow, addRegistryRow } from '../../support/fixture-rows.ts'
import { createGraphqlSites, type GraphqlSites } from '../../support/graphql-sites.ts'

let sites: GraphqlSites
beforeAll(async () => {
  sites = await createGraphqlSites()
})
afterAll(() => sites?.close())

beforeEach(async () => {
  sites.off.clear()
  for (const { names } of [sites.paris.widgets, sites.paris.gadgets])
    await sites.paris.databases.tracking(names.registryTable).delete()
})

async function addRegistries(count: number): Promise<string[]> {
  const { databases, widgets } = sites.paris
  const ids: string[] = []
  for (let position = 0; position < count; position += 1) {
    const id = await addHostRow(databases.main, widgets)
    await addRegistryRow(databases.tracking, widgets, id, { state: SYNC_STATE.synced })
    ids.push(id)
  }
  return ids
}

const PAGE = `query ($first: Int, $after: String, $last: Int, $before: String, $sort: GeoRegistrySort) {
  geoNode { widgetRegistries(first: $first, after: $after, last: $last, before: $before, sort: $sort) {
    count nodes { id widgetId } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }`

interface Page {
  geoNode: {
    widgetRegistries: {
      count: number
      nodes: { id: string; widgetId: string }[]
      pageInfo: { hasNextPage: boolean; hasPreviousPage: boolean; startCursor: string; endCursor: string }
    }
  }
}

async function page(variables: Record<string, unknown>) {
  const { geoNode } = await sites.data<Page>(PAGE, { variables })
  return geoNode.widgetRegistries
}

describe('A walk through registries', () => {
  it.each(['ID_ASC', 'ID_DESC', 'VERIFIED_AT_DESC', 'LAST_SYNCED_AT_ASC'])(
    'in the order %s meets each once, forwards and backwards',
    async (sort) => {
      await addRegistries(7)
      const forwards: string[] = []
      for (let after: string | null = null; ; ) {
        const { nodes, pageInfo } = await page({ first: 3, after, sort })
        forwards.push(...nodes.map(({ widgetId }) => widgetId))
        after = pageInfo.endCursor
        if (!pageInfo.hasNextPage) break
      }
      expect(new Set(forwards).size).toBe(7)
      const backwards: string[] = []
      for (let before: string | null = null; ; ) {
        const { nodes, pageInfo } = await page({ last: 3, before, sort })
        backwards.unshift(...nodes.map(({ widgetId }) => widgetId))
        before = pageInfo.startCursor
        if (!pageInfo.hasPreviousPage) break
      }
      expect(backwards).toEqual(forwards)
    },
  )
})
