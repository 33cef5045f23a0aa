import fc from 'fast-check'

/** What somebody may send to a GraphQL endpoint who means no good, or whose program is broken. */
export interface HostileRequest {
  readonly method: 'GET' | 'POST'
  readonly type: string
  readonly role: string
  readonly body: string
}

const FIELDS = ['id', 'state', 'widgetId', 'verifiedAt', 'nodes', 'edges', 'node', 'count', 'pageInfo', '__typename']
const TYPES = ['GeoNode', 'WidgetRegistry', 'Query', 'Nothing', '__Schema', 'GeoRegistry']

const value = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }).map((text) => JSON.stringify(text)),
  fc.constantFrom(
    'null',
    'true',
    '-1',
    '0',
    '1e400',
    '99999999999999999999',
    '[]',
    '{}',
    '[[[]]]',
    '$missing',
    'FAILED',
  ),
  fc.constantFrom(
    `"'; drop table widgets; --"`,
    '"%"',
    '"\\u0000"',
    '"gid://gitlab/Geo::WidgetRegistry/1"',
    '"1"',
    '"1) or (1=1"',
  ),
  fc
    .constantFrom('["ID_ASC","1","1"]', '["ID_ASC","infinity","99999999999999999999"]', '["ID_ASC"]', '{"a":1}', 'x')
    .map((cursor) => JSON.stringify(Buffer.from(cursor).toString('base64url'))),
)
const argument = fc
  .record({
    name: fc.constantFrom(
      'first',
      'last',
      'after',
      'before',
      'ids',
      'sort',
      'keyword',
      'replicationState',
      'limit',
      'x',
    ),
    value,
  })
  .map((given) => `${given.name}: ${given.value}`)
const args = fc.array(argument, { maxLength: 4 }).map((all) => (all.length > 0 ? `(${all.join(', ')})` : ''))

const selection: fc.Arbitrary<string> = fc.letrec<{ selection: string; field: string }>((tie) => ({
  field: fc.oneof(
    { maxDepth: 6, withCrossShrink: true },
    fc.constantFrom(...FIELDS),
    fc
      .record({
        alias: fc.constantFrom('', 'a: ', 'b: ', '__proto__: '),
        name: fc.constantFrom(
          'geoNode',
          'geoNodes',
          'widgetRegistries',
          'gadgetRegistries',
          'progress',
          '__schema',
          'types',
        ),
        args,
        directive: fc.constantFrom('', '@skip(if: true)', '@include(if: $x)', '@defer', '@unknown @unknown'),
        within: tie('selection'),
      })
      .map((field) => `${field.alias}${field.name}${field.args} ${field.directive} ${field.within}`),
    fc
      .record({ type: fc.constantFrom(...TYPES), within: tie('selection') })
      .map((on) => `... on ${on.type} ${on.within}`),
    fc.constantFrom('...f0', '...f1', '...f2'),
  ),
  selection: fc.array(tie('field'), { minLength: 1, maxLength: 5 }).map((all) => `{ ${all.join(' ')} }`),
})).selection

const fragments = fc
  .array(selection, { maxLength: 3 })
  .map((all) => all.map((within, n) => `fragment f${n} on GeoNode ${within}`).join(' '))
const whole = fc
  .record({
    kind: fc.constantFrom(
      '',
      'query',
      'query Q',
      'query ($x: Boolean!)',
      'mutation',
      'subscription',
      'query ($x: [Int!] = 1)',
    ),
    selection,
    fragments,
  })
  .map((operation) => `${operation.kind} ${operation.selection} ${operation.fragments}`)

const bomb = fc.constantFrom(
  `{${'geoNode{'.repeat(900)}id${'}'.repeat(900)}}`,
  '{'.repeat(1500),
  `{ ${Array.from({ length: 300 }, (_, n) => `a${n}: geoNode { id }`).join(' ')} }`,
  `{ geoNode { widgetRegistries(ids: [${'"gid://gitlab/Geo::WidgetRegistry/1",'.repeat(600)}]) { count } } }`,
  `query (${Array.from({ length: 200 }, (_, n) => `$v${n}: Int`).join(' ')}) { geoNode { id } }`,
  `{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }`,
  `{ geoNode ${'@skip(if: false) '.repeat(400)} { id } }`,
  Array.from({ length: 25 }, (_, n) => `fragment b${n} on Query { ...b${n + 1} ...b${n + 1} }`)
    .join(' ')
    .concat(' { ...b0 }'),
  'mutation { geoRegistriesUpdate(input: { registryId: "gid://gitlab/Geo::WidgetRegistry/1", action: RESYNC }) { errors } }',
  'mutation { geoRegistriesBulkUpdate(input: { registryClass: WIDGET_REGISTRY, action: RESYNC_ALL, ids: ["1"] }) { errors } }',
)
const broken = fc
  .record({ text: whole, cut: fc.nat({ max: 200 }), put: fc.string({ unit: 'binary', maxLength: 5 }) })
  .map(({ text, cut, put }) => text.slice(0, cut) + put + text.slice(cut + put.length))
const query = fc.oneof(
  { weight: 6, arbitrary: whole },
  { weight: 3, arbitrary: broken },
  { weight: 2, arbitrary: bomb },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 300 }) },
)
const variables = fc.oneof(
  fc.constant(undefined),
  fc.dictionary(fc.constantFrom('x', '__proto__', 'constructor', 'missing'), fc.jsonValue({ maxDepth: 3 })),
)

/** A request that is hostile in what it asks, or in how it is sent. */
export const hostileRequest: fc.Arbitrary<HostileRequest> = fc.record({
  method: fc.constantFrom<HostileRequest['method'][]>('POST', 'POST', 'POST', 'POST', 'GET'),
  type: fc.constantFrom(
    ...Array<string>(12).fill('application/json'),
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=b',
    'application/graphql',
    'application/json; charset=utf-7',
  ),
  role: fc.constantFrom('admin', 'admin', 'reader', 'nobody'),
  body: fc.oneof(
    {
      weight: 12,
      arbitrary: fc.record({ query, variables }).map((operation) => JSON.stringify(operation)),
    },
    { weight: 1, arbitrary: fc.json() },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 100 }) },
    { weight: 1, arbitrary: fc.array(fc.record({ query }), { maxLength: 3 }).map((all) => JSON.stringify(all)) },
  ),
})
