import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { addHostRow, addRegistryRow } from '../../support/fixture-rows.ts'
import { createGraphqlSites, type GraphqlSites } from '../../support/graphql-sites.ts'

let sites: GraphqlSites
beforeAll(async () => {
  sites = await createGraphqlSites()
})
afterAll(() => sites?.close())
beforeEach(async () => {
  for (const table of ['widget_registry', 'geo_bulk_runs']) await sites.paris.databases.tracking(table).delete()
})

interface Told {
  readonly data?: Record<string, Record<string, unknown>>
  readonly errors?: { message: string; extensions: { code: string } }[]
}

/** The events of a stream, one by one. */
async function* listen(query: string, { as = 'reader', signal = new AbortController().signal, at = '' } = {}) {
  const response = await fetch(at || `${sites.parisUrl}api/graphql`, {
    method: 'POST',
    headers: { accept: 'text/event-stream', 'content-type': 'application/json', 'x-role': as },
    body: JSON.stringify({ query }),
    signal,
  })
  expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/)
  let text = ''
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk).toString('utf8')
    const events = text.split('\n\n')
    text = events.pop() ?? ''
    for (const event of events) {
      const data = /^data: ?(.*)$/m.exec(event)?.[1]
      if (data) yield JSON.parse(data) as Told
    }
  }
}

async function allOf(events: AsyncIterable<Told>): Promise<Told[]> {
  const told: Told[] = []
  for await (const event of events) told.push(event)
  return told
}

describe('A subscription to a bulk run', () => {
  it.each(['the site itself', 'the primary, which passes it on'])(
    'by %s tells each step, and ends with it',
    async (by) => {
      const { paris } = sites
      for (let count = 0; count < 3; count += 1) {
        await addRegistryRow(
          paris.databases.tracking,
          paris.widgets,
          await addHostRow(paris.databases.main, paris.widgets),
        )
      }
      const run = await paris.geo.bulk.start({ action: 'resync', type: 'widget' })
      const site = await paris.databases.main('geo_nodes').where({ name: 'paris' }).first('id')
      const told: unknown[] = []
      const at = by === 'the site itself' ? '' : `${sites.url}api/v4/geo/node_proxy/${site.id}/graphql`
      for await (const { data, errors } of listen(
        `subscription { geoBulkRun(id: "${run.id}") { state doneFraction } }`,
        { at },
      )) {
        expect(errors).toBeUndefined()
        told.push(data?.['geoBulkRun'])
        if (told.length === 1) await paris.run('bulk')
      }
      expect(told).toEqual([
        { state: 'WAITING', doneFraction: 0 },
        { state: 'FINISHED', doneFraction: 1 },
      ])
    },
  )

  it('of a run that there is not says so', async () => {
    const told = await allOf(listen('subscription { geoBulkRun(id: "404") { state } }'))
    expect(told).toMatchObject([{ errors: [{ extensions: { code: 'BULK_RUN_UNKNOWN' } }] }])
  })

  it('is not for those who may not read', async () => {
    const told = await allOf(listen('subscription { geoBulkRun(id: "1") { state } }', { as: 'nobody' }))
    expect(told).toMatchObject([{ errors: [{ extensions: { code: 'RESOURCE_NOT_AVAILABLE' } }] }])
  })
})

describe('A subscription to the progress of a site', () => {
  it('tells what was gathered, and again when it has changed', async () => {
    const { paris } = sites
    await sites.gatherAll()
    const leaving = new AbortController()
    const counts: unknown[] = []
    const query = 'subscription { geoProgress { healthy types { name registryCount } } }'
    try {
      for await (const { data } of listen(query, { signal: leaving.signal })) {
        const types = data?.['geoProgress']?.['types'] as { name: string; registryCount: number }[]
        counts.push(types.find(({ name }) => name === 'widget')?.registryCount)
        if (counts.length === 2) leaving.abort()
        await addRegistryRow(
          paris.databases.tracking,
          paris.widgets,
          await addHostRow(paris.databases.main, paris.widgets),
        )
        paris.clock.advance(120_000)
        await sites.gatherAll()
      }
    } catch (reason) {
      if (!leaving.signal.aborted) throw reason
    }
    expect(counts).toEqual([0, 1])
  })
})
