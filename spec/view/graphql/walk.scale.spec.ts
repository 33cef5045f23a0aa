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

const medianOf = (times: number[]) => times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? Number.NaN

describe('A walk through 1,000,000 registries by pages of 1,000 over HTTP', () => {
  it.each(['ID_ASC', 'VERIFIED_AT_DESC'])('in the order %s meets each once', async (sort) => {
    const met = new Set<string>()
    const pagesMs: number[] = []
    let after: string | null = null
    for (let more = true; more; ) {
      const startedAtMs = performance.now()
      const answer: Page = await sites.data<Page>(QUERY, { variables: { after, sort } })
      pagesMs.push(performance.now() - startedAtMs)
      const { nodes, pageInfo } = answer.geoNode.widgetRegistries
      for (const { widgetId } of nodes) {
        expect(met.has(widgetId)).toBe(false)
        met.add(widgetId)
      }
      after = pageInfo.endCursor
      more = pageInfo.hasNextPage
    }
    expect(met.size).toBe(MILLION)
    console.table({
      [sort]: {
        pages: pagesMs.length,
        'first pages, ms': Math.round(medianOf(pagesMs.slice(0, MEASURED_PAGES))),
        'last pages, ms': Math.round(medianOf(pagesMs.slice(-MEASURED_PAGES))),
      },
    })
  })
})
