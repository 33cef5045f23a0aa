import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SYNC_STATE as S } from '../../../lib/registry/sync-state.ts'
import { createGraphqlSites, type GraphqlSites } from '../../support/graphql-sites.ts'

const ROWS = 60
const PAGE_SIZE = 7

let sites: GraphqlSites
beforeAll(async () => {
  sites = await createGraphqlSites()
})
afterAll(() => sites?.close())

/** Of every three rows two have been verified, many at the same moment; they are in all states. */
beforeEach(async () => {
  const { tracking } = sites.paris.databases
  await tracking('widget_registry').delete()
  await tracking.raw(
    `insert into widget_registry (widget_id, created_at, state, last_synced_at, verified_at)
     select n, now(), n % 4, '2024-02-29'::timestamptz + n / 5 * interval '1 s',
       case when n % 3 > 0 then '2024-02-29'::timestamptz - n / 4 * interval '1 ms' end
     from generate_series(1, ${ROWS}) n`,
  )
})

const QUERY = `query ($after: String, $sort: GeoRegistrySort, $state: ReplicationStateEnum) {
  geoNode { widgetRegistries(first: ${PAGE_SIZE}, after: $after, sort: $sort, replicationState: $state) {
    nodes { widgetId } pageInfo { hasNextPage endCursor } } } }`

interface Page {
  geoNode: {
    widgetRegistries: { nodes: { widgetId: string }[]; pageInfo: { hasNextPage: boolean; endCursor: string } }
  }
}

/** Walks to the end, and lets things happen after each page. */
async function walk(variables: Record<string, unknown>, between: (page: number) => Promise<void>): Promise<number[]> {
  const met: number[] = []
  let after: string | null = null
  for (let page = 0; ; page += 1) {
    const answer: Page = await sites.data<Page>(QUERY, { variables: { ...variables, after } })
    const { nodes, pageInfo } = answer.geoNode.widgetRegistries
    met.push(...nodes.map(({ widgetId }) => Number(widgetId)))
    after = pageInfo.endCursor
    if (!pageInfo.hasNextPage) return met
    await between(page)
  }
}

/** Behind the walk and ahead of it: rows change their states, go, are asked to go, and come. What leaves is divided by five. */
async function change(page: number): Promise<void> {
  const table = () => sites.paris.databases.tracking('widget_registry')
  await table()
    .whereRaw('widget_id % 4 = ?', [page % 4])
    .update({ state: S.synced, retry_count: 0 })
  await table()
    .whereRaw('widget_id % 7 = ?', [page % 7])
    .update({ state: S.failed, retry_count: 3, retry_at: '2124-02-29' })
  await table()
    .whereIn('widget_id', [5 + 10 * page, 55 - 10 * page])
    .delete()
  await table()
    .whereIn('widget_id', [60 - 10 * page, 10 + 10 * page])
    .update({ removal_requested_at: '2024-02-29' })
  await table().insert([1, 2].map((n) => ({ widget_id: 1000 + 10 * page + n, created_at: new Date(), state: n })))
}

const STAYING = Array.from({ length: ROWS }, (_, position) => position + 1).filter((id) => id % 5 !== 0)

describe('A walk while rows are synced, fail, come and go', () => {
  it.each(['ID_ASC', 'ID_DESC', 'LAST_SYNCED_AT_ASC', 'LAST_SYNCED_AT_DESC', 'VERIFIED_AT_ASC', 'VERIFIED_AT_DESC'])(
    'in the order %s misses none that stays, and meets none twice',
    async (sort) => {
      const met = await walk({ sort }, change)
      expect(met).toHaveLength(new Set(met).size)
      expect(STAYING.filter((id) => !met.includes(id))).toEqual([])
    },
  )

  it('of those in one state meets each that stays in it, and those that leave it at most once', async () => {
    const staying = STAYING.filter((id) => id % 4 === S.failed)
    const met = await walk({ state: 'FAILED' }, async (page) => {
      const { tracking } = sites.paris.databases
      const others = (chosen: number) =>
        tracking('widget_registry').whereNotIn('widget_id', staying).where({ state: chosen })
      await others(S.failed)
        .whereRaw('widget_id % 2 = ?', [page % 2])
        .update({ state: S.synced })
      await others(S.pending)
        .whereRaw('widget_id % 3 = ?', [page % 3])
        .update({ state: S.failed })
    })
    expect(met).toHaveLength(new Set(met).size)
    expect(staying.filter((id) => !met.includes(id))).toEqual([])
  })
})
