import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { stateTableOf } from '../../../lib/blob/primary-checksum.ts'
import type { Replicable } from '../../../lib/blob/replicable.ts'
import { createGraphqlSites, type GraphqlSites } from '../../support/graphql-sites.ts'
import { timedStatements } from '../../support/timed-statements.ts'

const ROWS = 100
/** One byte that names the algorithm, and eight of the checksum. */
const CHECKSUM = Buffer.from('010123456789abcdef', 'hex')

let sites: GraphqlSites
beforeAll(async () => {
  sites = await createGraphqlSites()
  for (const type of [sites.paris.widgets, sites.paris.gadgets]) await fill(type)
  await sites.paris.databases.caughtUp()
})
afterAll(() => sites?.close())

/** Rows of the host that the primary has verified, each with a copy that is verified too. */
async function fill(type: Replicable): Promise<void> {
  const { main, tracking } = sites.paris.databases
  await main.raw(
    `insert into ?? (name, file_path) select 'filled', 'a/file/' || n from generate_series(1, ${ROWS}) n`,
    [type.table],
  )
  const state = { verification_state: 2, verification_checksum: CHECKSUM }
  const ids: string[] = await main(type.table).pluck('id')
  const { table, key } = stateTableOf(type)
  if (type.verificationState === 'columns') await main(table).update(state)
  else await main(table).insert(ids.map((id) => ({ [key]: id, ...state })))
  await tracking(type.names.registryTable).insert(
    ids.map((id) => ({ [type.names.foreignKey]: id, created_at: tracking.fn.now(), state: 2, ...state })),
  )
}

async function allFields({ names }: Replicable): Promise<string[]> {
  const query = `{ __type(name: "${names.registryClass}") { fields(includeDeprecated: true) { name } } }`
  const { __type } = await sites.data<{ __type: { fields: { name: string }[] } }>(query)
  return __type.fields.map(({ name }) => name)
}

interface Answer {
  geoNode: { registries: { count: number; nodes: Record<string, unknown>[] } }
}

/** What one operation over HTTP sends to all databases of the site, and what it answers. */
async function read(type: Replicable, rows: number) {
  const query = `query ($rows: Int) { geoNode { registries: ${type.names.registriesField}(first: $rows) {
    count pageInfo { hasNextPage endCursor } nodes { ${(await allFields(type)).join(' ')} } } } }`
  const { assembly } = sites.paris
  const { main, tracking, mainHeartbeat, trackingHeartbeat } = assembly.databases
  const pools = [main, tracking, mainHeartbeat, trackingHeartbeat].filter((db) => db !== null)
  await assembly.sites.refresh()
  let answer: Answer | null = null
  const statements = await timedStatements(pools, async () => {
    answer = await sites.data<Answer>(query, { variables: { rows } })
  })
  const { registries } = (answer as Answer | null)?.geoNode ?? { registries: { count: 0, nodes: [] } }
  return { ...registries, sent: statements.map(({ sql }) => sql).sort() }
}

describe('A page of registries with all their fields', () => {
  it.each(['widgets', 'gadgets'] as const)('of 100 %s sends what one of 10 sends', async (table) => {
    const type = sites.paris[table]
    const ten = await read(type, 10)
    const hundred = await read(type, ROWS)
    expect(ten.nodes).toHaveLength(10)
    expect(hundred.nodes).toHaveLength(ROWS)
    expect(hundred.count).toBe(ROWS)
    // Nothing of it was left unread.
    expect(new Set(hundred.nodes.map(({ primaryChecksum }) => primaryChecksum))).toEqual(new Set(['0123456789abcdef']))
    expect(hundred.sent).toEqual(ten.sent)
    // The page, the count and the checksums of the primary.
    expect(hundred.sent.filter((sql) => sql.includes('select'))).toHaveLength(3)
  })
})
