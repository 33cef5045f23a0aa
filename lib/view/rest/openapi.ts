import { z } from 'zod'
import type { Replicable } from '../../blob/replicable.ts'
import { VERSION } from '../../version.ts'
import { statusSchema } from '../status/schema.ts'
import { nodeShape } from './node-entity.ts'
import { newNodeParams, nodeChangeParams, pageParams, refreshParams } from './node-params.ts'
import { type AnswerBody, type RestRoute, ROUTES } from './routes.ts'
import { pathOf, TITLES, WORDINGS, type Wording } from './wording.ts'

export const OPENAPI_PATH = '/api/v4/geo/openapi.json'

type Json = Readonly<Record<string, unknown>>

const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'X-Total': 'Sites on all pages.',
  'X-Total-Pages': 'Pages, at least 1.',
  'X-Page': 'This page.',
  'X-Per-Page': 'Sites to a page.',
  'X-Next-Page': 'The next page; empty on the last.',
  'X-Prev-Page': 'The page before; empty on the first.',
  Link: 'The addresses of the pages `prev`, `next`, `first` and `last`.',
}

const REFUSALS: Readonly<Record<RestRoute['fails'][number] | 403 | 503, string>> = {
  400: 'A parameter is missing or of another type (`error`), or the site cannot be so (`message`, by field).',
  401: 'The signature of the site is not right, or its address is not allowed.',
  403: 'The host does not let this request do it, or it is a write and this site is a secondary (`geo_code`, `primary`).',
  404: 'There is no such site, or no status of it.',
  413: 'The body is longer than 64 KiB.',
  415: 'The body is neither JSON nor a form.',
  503: 'The database does not answer.',
}

/** The OpenAPI 3.1 document of the REST API, for the types that this host declares. */
export function openApiDocument(replicables: readonly Pick<Replicable, 'names'>[]): Json {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Geo sites and their statuses',
      version: VERSION,
      description:
        "The same as GitLab's API, under its older and its newer name. Who may call it is decided by the function `authorize` of the host: reading needs the ability `read_geo`, all else `admin_geo`. Parameters are taken from the address, from JSON and from forms; unknown ones are ignored.",
    },
    paths: { ...Object.assign({}, ...WORDINGS.map(pathsOf)), [OPENAPI_PATH]: documentPath() },
    components: {
      schemas: {
        ...Object.fromEntries(WORDINGS.map((wording) => [TITLES[wording], schemaOf(nodeShape(wording))])),
        ...Object.fromEntries(
          WORDINGS.map((wording) => [`${TITLES[wording]}Status`, bare(statusSchema(replicables, wording))]),
        ),
        NewSite: schemaOf(newNodeParams),
        SiteChange: schemaOf(nodeChangeParams),
        Refusal: REFUSAL,
      },
    },
  }
}

const REFUSAL: Json = {
  type: 'object',
  properties: {
    message: {
      anyOf: [
        { type: 'string' },
        { type: 'object', additionalProperties: { type: 'array', items: { type: 'string' } } },
      ],
    },
    error: { type: 'string' },
    code: { type: 'string', description: 'A code of docs/errors.md, where it is no fault of the client.' },
    geo_code: { const: 'READ_ONLY_SITE' },
    primary: { type: ['string', 'null'], description: 'The URL of the primary, where the write belongs.' },
  },
  additionalProperties: false,
}

function pathsOf(wording: Wording): Record<string, Record<string, Json>> {
  const paths: Record<string, Record<string, Json>> = {}
  for (const route of ROUTES) {
    for (const [position, path] of route.paths.entries()) {
      const full = `${pathOf(wording)}${path === '/' ? '' : path.replaceAll(/:(\w+)/g, '{$1}')}`
      const alias = position > 0 && { deprecated: true, description: `The same as ${route.paths[0]}.` }
      const id = `${route.id}${position > 0 ? 'Alias' : ''}Geo${wording === 'node' ? 'Nodes' : 'Sites'}`
      paths[full] = {
        ...paths[full],
        [route.method]: { operationId: id, ...operation(route, wording, full), ...alias },
      }
    }
  }
  return paths
}

function operation(route: RestRoute, wording: Wording, path: string): Json {
  const { answers } = route
  const body = { schema: ref(route.takes === 'newNode' ? 'NewSite' : 'SiteChange') }
  const hasBody = route.takes === 'newNode' || route.takes === 'nodeChange'
  return {
    summary: route.summary,
    'x-ability': route.ability,
    tags: [TITLES[wording]],
    parameters: [
      ...(path.includes('{id}') ? [{ name: 'id', in: 'path', required: true, schema: { type: 'integer' } }] : []),
      ...(route.takes === 'page' ? queryParameters(pageParams) : []),
      ...(route.takes === 'refresh' ? queryParameters(refreshParams) : []),
    ],
    ...(hasBody && {
      requestBody: { content: { 'application/json': body, 'application/x-www-form-urlencoded': body } },
    }),
    responses: {
      [answers.status]: {
        description: answers.body ? 'Done.' : 'Done; the answer is empty.',
        ...(route.takes === 'page' && {
          headers: Object.fromEntries(
            Object.entries(PAGE_HEADERS).map(([name, description]) => [
              name,
              { description, schema: { type: 'string' } },
            ]),
          ),
        }),
        ...(answers.body && { content: { 'application/json': { schema: answerSchema(answers.body, wording) } } }),
      },
      ...Object.fromEntries([403, ...route.fails, 503].sort().map((status) => [status, refusal(status)])),
    },
  }
}

function refusal(status: number): Json {
  const description = REFUSALS[status as keyof typeof REFUSALS]
  return { description, content: { 'application/json': { schema: ref('Refusal') } } }
}

function answerSchema(body: AnswerBody, wording: Wording): Json {
  const node = ref(TITLES[wording])
  const status = ref(`${TITLES[wording]}Status`)
  const schemas = { node, status, nodes: listOf(node), statuses: listOf(status), schema: { type: 'object' } }
  return schemas[body]
}

function documentPath(): Json {
  const schema = { type: 'object' }
  return {
    get: {
      operationId: 'openApiDocument',
      summary: 'This document.',
      'x-ability': 'read_geo',
      responses: { 200: { description: 'Done.', content: { 'application/json': { schema } } }, 403: refusal(403) },
    },
  }
}

function queryParameters(shape: z.ZodObject): Json[] {
  const { properties } = schemaOf(shape) as { properties: Record<string, Json> }
  return Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', schema }))
}

const ref = (name: string): Json => ({ $ref: `#/components/schemas/${name}` })
const listOf = (items: Json): Json => ({ type: 'array', items })
const schemaOf = (shape: z.ZodType): Json => bare(z.toJSONSchema(shape) as Json)

function bare({ $schema: _, ...schema }: Json): Json {
  return schema
}
