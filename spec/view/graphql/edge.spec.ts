import { parse } from 'graphql'
import request from 'supertest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { limitError, measure } from '../../../lib/view/graphql/limits.ts'
import { addHostRow, addRegistryRow } from '../../support/fixture-rows.ts'
import { createGraphqlSites, type GraphqlSites } from '../../support/graphql-sites.ts'

let sites: GraphqlSites
let at: string
beforeAll(async () => {
  sites = await createGraphqlSites()
  at = `${sites.parisUrl}api/graphql`
})
afterAll(() => sites?.close())

const NAME = '{ geoNode { name } }'
/** Of the registries of a type, as GitLab's pages ask for them. */
const OF_A_PAGE = `widgetRegistries(first: 20, after: "", replicationState: FAILED) { count
  nodes { id modelRecordId state retryAt retryCount lastSyncFailure lastSyncedAt verifiedAt verificationRetryAt createdAt
    verificationState verificationFailure }
  pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }`
const codesOf = ({ body }: { body: { errors?: { extensions?: { code?: string } }[] } }) =>
  body.errors?.map(({ extensions }) => extensions?.code)

describe('The door of GraphQL', () => {
  it('takes an operation as JSON and by GET', async () => {
    expect((await sites.ask(NAME)).body).toEqual({ data: { geoNode: { name: 'paris' } } })
    const { body, headers } = await request(at).get('').query({ query: NAME }).set('x-role', 'reader')
    expect(body).toEqual({ data: { geoNode: { name: 'paris' } } })
    expect(headers['cache-control']).toBe('no-store')
  })

  it('says of parameters of a GET that they are no JSON, and takes those that are', async () => {
    const ask = (more: object) =>
      request(at)
        .get('')
        .query({ query: NAME, ...more })
        .set('x-role', 'reader')
    for (const more of [{ variables: '08' }, { variables: '[1]' }, { extensions: '{' }, { variables: ['{}', '{}'] }]) {
      const response = await ask(more)
      expect(response.status).toBe(400)
      expect(codesOf(response)).toEqual(['INVALID_REQUEST'])
    }
    for (const more of [{ variables: '{"a":1}' }, { variables: '', extensions: 'null' }]) {
      expect((await ask(more)).body).toEqual({ data: { geoNode: { name: 'paris' } } })
    }
  })

  it('says of a number that it is none, whatever it is', async () => {
    const query = 'query ($a: Int) { geoNode { widgetRegistries(first: $a) { count } } }'
    for (const a of [{ toString: 'x' }, [{ valueOf: 1 }], 'x', {}]) {
      const { body } = await request(at).post('').send({ query, variables: { a } }).set('x-role', 'reader')
      expect(body.errors?.map(({ message }: { message: string }) => message)).toEqual([expect.stringContaining('$a')])
    }
  })

  it('refuses a request to a host that is none', async () => {
    const response = await request(at).get('').query({ query: NAME }).set('x-role', 'reader').set('host', '??')
    expect(response.status).toBe(400)
    expect(codesOf(response)).toEqual(['INVALID_REQUEST'])
  })

  it('takes no change by GET', async () => {
    const query = 'mutation { geoBulkRunCancel(input: { id: "1" }) { errors } }'
    const response = await request(at).get('').query({ query }).set('x-role', 'admin')
    expect(response.status).toBe(405)
    expect(codesOf(response)).toEqual(['BAD_REQUEST'])
  })

  it.each([
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'text/plain',
    'application/graphql',
  ])('takes no %s, which a page of another site can send', async (type) => {
    const response = await request(at).post('').set('content-type', type).set('x-role', 'admin').send('query=%7Ba%7D')
    expect(response.status).toBe(415)
  })

  it.each([
    ['no JSON', '{"query"', 400],
    ['a list of operations', JSON.stringify([{ query: NAME }]), 400],
    ['an empty object', '{}', 400],
    ['a query that is no text', '{"query":1}', 400],
    ['variables that are a list', JSON.stringify({ query: NAME, variables: [1] }), 400],
    ['too long a body', JSON.stringify({ query: NAME, variables: { a: 'x'.repeat(200_000) } }), 413],
  ])('refuses %s', async (_, body, status) => {
    const response = await request(at).post('').set('content-type', 'application/json').send(body)
    expect(response.status).toBe(status)
    expect(codesOf(response)).toEqual([status === 413 ? 'REQUEST_TOO_LARGE' : 'INVALID_REQUEST'])
  })

  it('shows no site to those who may not read', async () => {
    const { body } = await sites.ask('{ geoNode { name } geoNodes { name } geoBulkRuns { id } }', { as: 'nobody' })
    expect(body).toEqual({ data: { geoNode: null, geoNodes: null, geoBulkRuns: null } })
  })

  it('reads little of what those send who may not read, who get null for what GitLab asks', async () => {
    const ofPage = `query geoSite { geoNode(name: "paris") { ${OF_A_PAGE} } }`
    expect((await sites.ask(ofPage, { as: 'nobody' })).body).toEqual({ data: { geoNode: null } })
    const long = `{ ${Array.from({ length: 100 }, () => 'geoNode { name }').join(' ')} }`
    const large = { query: NAME, variables: { a: 'x'.repeat(20_000) } }
    for (const [as, answers] of [
      ['nobody', [['GRAPHQL_PARSE_FAILED'], ['REQUEST_TOO_LARGE']]],
      ['reader', [undefined, undefined]],
    ] as const) {
      const asked = [await sites.ask(long, { as }), await request(at).post('').set('x-role', as).send(large)]
      expect(asked.map(codesOf)).toEqual(answers)
    }
  })

  it('answers another site by its name, and null for one that there is not', async () => {
    expect(await sites.data('{ a: geoNode(name: "rome") { name primary } b: geoNode(name: "x") { name } }')).toEqual({
      a: { name: 'rome', primary: true },
      b: null,
    })
  })
})

describe('Each error has its code', () => {
  it.each([
    ['a syntax error', '{', 'GRAPHQL_PARSE_FAILED'],
    ['a field that there is not', '{ secret }', 'GRAPHQL_VALIDATION_FAILED'],
    ['a variable that was not sent', 'query ($id: ID!) { geoBulkRun(id: $id) { id } }', 'GRAPHQL_VALIDATION_FAILED'],
    ['a run that there is not', '{ geoBulkRun(id: "77") { id } }', 'BULK_RUN_UNKNOWN'],
    [
      'a cursor of ours that is none',
      '{ geoNode { widgetRegistries(after: "x") { nodes { id } } } }',
      'INVALID_REQUEST',
    ],
    [
      'a cursor whose id is no number',
      `{ geoNode { widgetRegistries(after: "${btoa('["ID_ASC","1","x"]')}") { nodes { id } } } }`,
      'INVALID_REQUEST',
    ],
    ['a negative page', '{ geoNode { widgetRegistries(first: -1) { nodes { id } } } }', 'GRAPHQL_VALIDATION_FAILED'],
  ])('%s', async (_, query, code) => {
    expect(codesOf(await sites.ask(query))).toEqual([code])
  })

  it('a cursor of the same list in another order', async () => {
    const { databases, widgets } = sites.paris
    await addRegistryRow(databases.tracking, widgets, await addHostRow(databases.main, widgets))
    const { geoNode } = await sites.data<{ geoNode: { widgetRegistries: { edges: { cursor: string }[] } } }>(
      '{ geoNode { widgetRegistries { edges { cursor } } } }',
    )
    const cursor = geoNode.widgetRegistries.edges[0]?.cursor
    const query = `{ geoNode { widgetRegistries(sort: VERIFIED_AT_DESC, after: "${cursor}") { nodes { id } } } }`
    expect(codesOf(await sites.ask(query))).toEqual(['INVALID_REQUEST'])
  })

  it('a statement that fails tells nothing of itself, but the log does', async () => {
    const { tracking } = sites.paris.databases
    await tracking.schema.renameTable('widget_registry', 'hidden_registry')
    try {
      const { body } = await sites.ask('{ geoNode { name widgetRegistries { nodes { id } } } }')
      expect(body.data).toEqual({ geoNode: { name: 'paris', widgetRegistries: { nodes: null } } })
      expect(JSON.stringify(body)).not.toMatch(/select|widget_registry|\.ts/)
      expect(codesOf({ body })).toEqual(['INTERNAL'])
      expect(sites.paris.logger.lines.some(({ message }) => message === 'A GraphQL operation failed')).toBe(true)
    } finally {
      await tracking.schema.renameTable('hidden_registry', 'widget_registry')
    }
  })
})

describe('The limits of an operation', () => {
  const nested = (depth: number): string => (depth === 0 ? 'id' : `bulk { ${nested(depth - 1)} }`)

  it.each([
    ['cost', `{ geoNode { ${pages(15, 1000, 'id state retryCount lastSyncFailure createdAt bytes')} } }`],
    ['cost', `query ($n: Int) { geoNode { ${pages(40, '$n', 'id state retryCount')} } }`],
    ['aliases', `{ ${Array.from({ length: 51 }, (_, n) => `a${n}: geoNode { id }`).join(' ')} }`],
  ])('by %s', async (what, query) => {
    const response = await sites.ask(query, { variables: { n: 1000 } })
    expect(codesOf(response)).toEqual(['OPERATION_TOO_LARGE'])
    expect(response.body.errors[0].message).toContain(`The ${what} of this operation`)
  })

  it('by its tokens, before it is parsed', async () => {
    const response = await sites.ask(`{ ${'geoNode { id } '.repeat(700)} }`)
    expect(codesOf(response)).toEqual(['GRAPHQL_PARSE_FAILED'])
    // Version 16 of graphql misspells it.
    expect(response.body.errors[0].message).toMatch(/more tha[nt] 2000 tokens/)
  })

  it('by what fragments of fragments come to', async () => {
    const fragments = Array.from(
      { length: 20 },
      (_, n) =>
        `fragment f${n} on Query { ${n === 0 ? 'geoNodes { id }' : `...f${n - 1} a${n}: geoNode { id } ...f${n - 1}`} }`,
    )
    expect(codesOf(await sites.ask(`{ ...f19 } ${fragments.join(' ')}`))).toEqual(['OPERATION_TOO_LARGE'])
  })

  it('let a page of 1,000 registries with all fields pass, and the introspection of clients', async () => {
    const all = 'id state retryCount retryAt lastSyncedAt lastSyncFailure createdAt verificationState verifiedAt bytes'
    const page = await sites.ask(`{ geoNode { ${pages(1, 1000, all)} } }`)
    expect(page.body.errors).toBeUndefined()
    const { getIntrospectionQuery } = await import('graphql')
    const { body } = await sites.ask(getIntrospectionQuery())
    expect(body.errors).toBeUndefined()
  })

  it('by its depth, though no type of ours leads that deep: types of a host may', () => {
    const levels = (count: number) => measure(parse(`{ ${'a { '.repeat(count)} id ${'}'.repeat(count)} }`), null, {})
    expect(limitError(levels(11))).toBeNull()
    expect(limitError(levels(12))?.message).toContain('The depth of this operation is 13')
  })

  it('measure nothing that is not there: unknown levels are refused by validation', async () => {
    expect(codesOf(await sites.ask(`{ ${nested(30)} }`))).toEqual(['GRAPHQL_VALIDATION_FAILED'])
  })
})

function pages(count: number, first: number | string, fields: string): string {
  return Array.from(
    { length: count },
    (_, n) => `p${n}: widgetRegistries(first: ${first}) { nodes { ${fields} } }`,
  ).join(' ')
}
