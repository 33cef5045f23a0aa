import {
  type GraphQLField,
  type GraphQLNamedType,
  isEnumType,
  isInputObjectType,
  isObjectType,
  isScalarType,
  isSpecifiedScalarType,
  isUnionType,
} from 'graphql'
import type { Replicable } from '../../../lib/blob/replicable.ts'
import { LIMITS, OF_READERS, OF_STRANGERS } from '../../../lib/view/graphql/limits.ts'
import { DEFAULT_PAGE_SIZE, LARGEST_PAGE } from '../../../lib/view/graphql/registries-field.ts'
import { documentedSchema } from './graphql-schema.ts'
import { page, table } from './markdown.ts'

const ROOTS = ['Query', 'Mutation', 'Subscription']

export function graphqlPage(types: readonly Pick<Replicable, 'name' | 'names'>[]): string {
  const schema = documentedSchema(types)
  const named = Object.values(schema.getTypeMap()).filter(
    (type) => !type.name.startsWith('__') && !isSpecifiedScalarType(type) && !ROOTS.includes(type.name),
  )
  const [first] = types
  const field = first?.names.registriesField ?? ''
  return page(
    'GraphQL',
    'With `graphql: geoGraphql()` among the options of createGeo, from `express-geo-replication/graphql`, `geo.router` answers at `/api/graphql`: POST with JSON, GET for what only reads, and server-sent events (`Accept: text/event-stream`) for subscriptions. The packages that it needs are optional peers: `npm install graphql graphql-yoga @pothos/core @pothos/plugin-relay dataloader`. Here the types of the reference host; of another, the names follow from its declarations. The whole as SDL: [schema.graphql](schema.graphql).',
    '```graphql',
    `{ geoNode { ${field}(replicationState: FAILED, first: 20) {\n    count\n    nodes { id ${first?.names.recordIdField} lastSyncFailure errorCode retryAt }\n    pageInfo { hasNextPage endCursor } } } }`,
    '```',
    '## Who may',
    'Whoever the option `authorize` lets `read_geo` sees sites and registries, for others `geoNode` is null; changes need `admin_geo`, and are not available to others. `operator` says who it is, for the record of a bulk run and for the audit log.',
    '## What can be seen',
    'A type whose flag is off and that is not `released` is not in the schema: its field is an error of validation, and introspection does not tell of it. Asked anew with each request. A released one whose flag is off is empty. Registries are those of the site that is asked: of another site they are empty, and on the primary there are none.',
    '## From the primary',
    '`POST /api/v4/geo/node_proxy/:id/graphql` on the primary passes an operation on to the site with that id, signed, with what the host says of who asks. 403 without `read_geo`, 404 for an unknown site, 500 with `error` and `code` where it does not answer.',
    '## A host with an endpoint of its own',
    '`geoGraphql().schema()` is the whole schema, in which types that are off are empty; its context is what `context(request)` returns. `addTo(builder, readerOf)` adds everything to a Pothos builder instead.',
    '## Limits',
    table(
      ['of an operation', 'at most', 'without `read_geo`'],
      [
        ['tokens', String(LIMITS.tokens), String(OF_STRANGERS.tokens)],
        ['levels of fields', String(LIMITS.depth), 'as much'],
        ['aliases', String(LIMITS.aliases), 'as many'],
        ['values in the answer, a page counting as often as it has rows', LIMITS.cost.toLocaleString('en'), 'none'],
        ['rows of a page', `${LARGEST_PAGE}, and ${DEFAULT_PAGE_SIZE} where nothing is said`, 'none'],
        ['bytes of the body', ...[OF_READERS, OF_STRANGERS].map(({ bodyBytes }) => bodyBytes.toLocaleString('en'))],
      ],
    ),
    'A page by id costs the same wherever it is. Those by `VERIFIED_AT` and `LAST_SYNCED_AT` have no index, which every write of the registry would pay for: each looks at all rows, about a second of a million.',
    '## Errors',
    'Each has `extensions.code`: `GRAPHQL_PARSE_FAILED`, `GRAPHQL_VALIDATION_FAILED`, `BAD_REQUEST` for a change by GET, or one of [errors.md](errors.md). What is not the fault of the client tells its code alone, and the log the rest. What keeps a change from being made is in `errors` of its payload.',
    ...ROOTS.flatMap((root) => {
      const type = schema.getType(root)
      return isObjectType(type) ? [`## ${root}`, fields(Object.values(type.getFields()))] : []
    }),
    ...section('## Types', named.filter(isObjectType), (type) => fields(Object.values(type.getFields()))),
    ...section('## Inputs', named.filter(isInputObjectType), (type) =>
      table(
        ['field', 'type', 'meaning'],
        Object.values(type.getFields()).map((each) => [
          `\`${each.name}\``,
          `\`${String(each.type)}\``,
          each.description ?? '',
        ]),
      ),
    ),
    ...section('## Enums', named.filter(isEnumType), (type) =>
      type
        .getValues()
        .map(({ name }) => `\`${name}\``)
        .join(', '),
    ),
    ...section('## Unions', named.filter(isUnionType), (type) =>
      type
        .getTypes()
        .map(({ name }) => `\`${name}\``)
        .join(', '),
    ),
    ...section('## Scalars', named.filter(isScalarType), () => ''),
  )
}

function section<Type extends GraphQLNamedType>(
  title: string,
  types: readonly Type[],
  body: (type: Type) => string,
): string[] {
  return [
    title,
    ...types.flatMap((type) =>
      [`### \`${type.name}\``, type.description ?? '', body(type)].filter((text) => text !== ''),
    ),
  ]
}

function fields(all: readonly GraphQLField<unknown, unknown>[]): string {
  return table(
    ['field', 'type', 'meaning'],
    all.map(({ name, args, type, description, deprecationReason }) => [
      `\`${name}${args.length > 0 ? `(${args.map((each) => `${each.name}: ${String(each.type)}`).join(', ')})` : ''}\``,
      `\`${String(type)}\``,
      [description, deprecationReason && `*Deprecated: ${deprecationReason}.*`].filter(Boolean).join('. '),
    ]),
  )
}
