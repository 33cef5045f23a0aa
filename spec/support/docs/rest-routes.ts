import type { Replicable } from '../../../lib/blob/replicable.ts'
import { openApiDocument } from '../../../lib/view/rest/openapi.ts'
import { page, table } from './markdown.ts'

interface Schema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly anyOf?: readonly Schema[]
  readonly items?: Schema
  readonly const?: unknown
  readonly description?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
}
interface Operation {
  readonly summary: string
  readonly description?: string
  readonly 'x-ability': string
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema: Schema }[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> }
  readonly responses: Readonly<
    Record<string, { readonly description: string; readonly content?: Readonly<Record<string, { schema: Schema }>> }>
  >
}
interface Document {
  readonly info: { readonly description: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> }
}

function typeOf(schema: Schema): string {
  if (schema.$ref) return schema.$ref.split('/').at(-1) ?? ''
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(' or ')
  if (schema.items) return `array of ${typeOf(schema.items)}`
  if (schema.const !== undefined) return `\`${String(schema.const)}\``
  return [schema.type ?? 'any'].flat().join(' or ')
}

function fields(document: Document, name: string, head: string): string {
  const { properties = {}, required = [] } = document.components.schemas[name] ?? {}
  const rows = Object.entries(properties).map(([field, schema]) => [
    `\`${field}\``,
    typeOf(schema),
    required.includes(field) ? 'yes' : '',
    schema.description ?? '',
  ])
  return table([head, 'type', 'always', 'meaning'], rows)
}

function answerOf({ responses }: Operation): string {
  return Object.entries(responses)
    .map(([status, { content }]) => {
      const schema = content?.['application/json']?.schema
      return Number(status) < 300 && schema ? `${status} (${typeOf(schema)})` : status
    })
    .join(', ')
}

function routes(document: Document): string {
  const rows = Object.entries(document.paths)
    .filter(([path]) => !path.includes('geo_sites'))
    .flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, operation]) => [
        `\`${method.toUpperCase()} ${path}\``,
        `\`${operation['x-ability']}\``,
        [operation.summary, operation.description].filter(Boolean).join(' '),
        [
          ...(operation.parameters ?? [])
            .filter((parameter) => parameter.in === 'query')
            .map(({ name }) => `\`${name}\``),
          ...(operation.requestBody ? [typeOf(Object.values(operation.requestBody.content)[0]?.schema ?? {})] : []),
        ].join(', '),
        answerOf(operation),
      ]),
    )
  return table(['route', 'ability', 'what it does', 'takes', 'answers'], rows)
}

function refusals(document: Document): string {
  const texts = new Map<string, string>()
  for (const operation of Object.values(document.paths).flatMap((operations) => Object.values(operations)))
    for (const [status, { description }] of Object.entries(operation.responses))
      if (Number(status) >= 400) texts.set(status, description)
  return table(
    ['status', 'when'],
    [...texts].toSorted(([left], [right]) => Number(left) - Number(right)),
  )
}

export function restRoutes(types: readonly Pick<Replicable, 'name' | 'names'>[]): string {
  const document = openApiDocument(types) as unknown as Document
  return page(
    'REST API',
    document.info.description,
    '`GET /api/v4/geo/openapi.json` serves all this as an OpenAPI 3.1 document, and `GET /api/v4/geo_nodes/status.schema.json` the schema of a status, both for the types that the host declares. What sites ask of each other (`/api/v4/geo/retrieve`, `/status`, `/copies`) is signed and for them alone.',
    '## Routes',
    'Each also under `/api/v4/geo_sites`, where messages and links say "site" and `clone_protocol` is left out.',
    routes(document),
    'Lists come in pages, with the headers `X-Total`, `X-Total-Pages`, `X-Page`, `X-Per-Page`, `X-Next-Page`, `X-Prev-Page` and `Link`.',
    '## Refusals',
    refusals(document),
    'What is wrong with a parameter is `{"error": "name is missing"}`, with a site `{"message": {"name": ["has already been taken"]}}`, anything else `{"message": "404 GeoNode Not Found"}`.',
    '## NewSite and SiteChange',
    'From the address, JSON or a form; numbers and booleans may be texts, and blank ones ask for no change.',
    fields(document, 'NewSite', 'parameter'),
    '## GeoNode',
    fields(document, 'GeoNode', 'field'),
    '## GeoNodeStatus',
    `See [status.md](status.md) for \`progress\`, the fields of the site and those of each type: ${types.map(({ names }) => `\`${names.plural}_*\``).join(', ')}.`,
  )
}
