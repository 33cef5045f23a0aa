import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createGraphqlSites, type GraphqlSites } from '../../support/graphql-sites.ts'

const MILLION = 1_000_000
const PAGE_SIZE = 1000
const MEASURED_PAGES = 20

let sites: GraphqlSites
beforeAll(async () => {
  sites = await createGraphqlSites()
  const { tracking } = sites.paris.databases
  await tracking.raw(
    `insert into widget_registry (widget_id, created_at, state, last_synced_at, verification_state, verified_at)
     select n, now(), 2, now() - n % 997 * interval '1 s', 2, now() - n % 1009 * interval '1 s'
     from generate_series(1, ${MILLION}) n`,
  )
  await tracking.raw('vacuum analyze widget_registry')
})
afterAll(() => sites?.close())

const QUERY = `query ($after: String, $sort: GeoRegistrySort) {
  geoNode { widgetRegistries(first: ${PAGE_SIZE}, after: $after, sort: $sort) {
    nodes { widgetId state lastSyncedAt verifiedAt } pageInfo { hasNextPage endCursor } } } }`

interface Page {
  geoNode: {
    widgetRegistries: { nodes: { widgetId: string }[]; pageInfo: { hasNextPage: boolean; endCursor: string } }
  }
}

const medianMs = (times: number[]) =>
  Math.round(times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? Number.NaN)

/** Walks so many pages, or to the end. Times are of whole requests. */
async function walk(sort: string, mostPages: number): Promise<{ met: string[]; pagesMs: number[] }> {
  const met: string[] = []
  const pagesMs: number[] = []
  let after: string | null = null
  for (let more = true; more && pagesMs.length < mostPages; ) {
    const startedAtMs = performance.now()
    const answer: Page = await sites.data<Page>(QUERY, { variables: { after, sort } })
    pagesMs.push(performance.now() - startedAtMs)
    const { nodes, pageInfo } = answer.geoNode.widgetRegistries
    met.push(...nodes.map(({ widgetId }) => widgetId))
    after = pageInfo.endCursor
    more = pageInfo.hasNextPage
  }
  return { met, pagesMs }
}

describe('A walk through 1,000,000 registries by pages of 1,000 over HTTP', () => {
  it('meets each once', async () => {
    await walk('ID_ASC', MEASURED_PAGES)
    const { met, pagesMs } = await walk('ID_ASC', Number.POSITIVE_INFINITY)
    expect(met).toHaveLength(MILLION)
    expect(new Set(met).size).toBe(MILLION)
    const [first, last] = [pagesMs.slice(0, MEASURED_PAGES), pagesMs.slice(-MEASURED_PAGES)]
    console.table({ ID_ASC: { 'first pages, ms': medianMs(first), 'last pages, ms': medianMs(last) } })
  })

  // No index holds these orders: each page looks at every row.
  it.each(['VERIFIED_AT_DESC', 'LAST_SYNCED_AT_ASC'])('in the order %s meets none twice', async (sort) => {
    const { met, pagesMs } = await walk(sort, MEASURED_PAGES)
    expect(new Set(met).size).toBe(MEASURED_PAGES * PAGE_SIZE)
    console.table({ [sort]: { 'first pages, ms': medianMs(pagesMs) } })
  })
})
