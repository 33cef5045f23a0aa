import type { Ability } from '../../ability.ts'

export type OperationId =
  | 'list'
  | 'create'
  | 'listStatuses'
  | 'statusSchema'
  | 'one'
  | 'update'
  | 'remove'
  | 'status'
  | 'repair'

/** One operation of the API, from which the router and the OpenAPI document are made. Paths are below `/api/v4/geo_nodes`. */
export interface RestRoute {
  readonly id: OperationId
  readonly method: 'get' | 'post' | 'put' | 'delete'
  readonly paths: readonly string[]
  readonly ability: Ability
  readonly summary: string
  readonly takes?: 'page' | 'newNode' | 'nodeChange' | 'refresh'
  readonly answers: { readonly status: 200 | 201 | 204; readonly body?: AnswerBody }
  /** What else it may answer, beside 403. */
  readonly fails: readonly (400 | 401 | 404 | 413 | 415)[]
}

export type AnswerBody = 'node' | 'nodes' | 'status' | 'statuses' | 'schema'

/** Those with fixed paths come before those with an id. */
export const ROUTES: readonly RestRoute[] = Object.freeze([
  {
    id: 'list',
    method: 'get',
    paths: ['/'],
    ability: 'read_geo',
    summary: 'All sites, by id.',
    takes: 'page',
    answers: { status: 200, body: 'nodes' },
    fails: [400],
  },
  {
    id: 'create',
    method: 'post',
    paths: ['/'],
    ability: 'admin_geo',
    summary: 'Adds a site, on the primary.',
    takes: 'newNode',
    answers: { status: 201, body: 'node' },
    fails: [400, 413, 415],
  },
  {
    id: 'listStatuses',
    method: 'get',
    paths: ['/status', '/statuses'],
    ability: 'read_geo',
    summary: 'The statuses of all sites that have told one, by the id of the site.',
    takes: 'page',
    answers: { status: 200, body: 'statuses' },
    fails: [400],
  },
  {
    id: 'statusSchema',
    method: 'get',
    paths: ['/status.schema.json'],
    ability: 'read_geo',
    summary: 'The JSON schema of a status, for the types that this host declares.',
    answers: { status: 200, body: 'schema' },
    fails: [400],
  },
  {
    id: 'one',
    method: 'get',
    paths: ['/:id'],
    ability: 'read_geo',
    summary: 'One site.',
    answers: { status: 200, body: 'node' },
    fails: [400, 404],
  },
  {
    id: 'update',
    method: 'put',
    paths: ['/:id'],
    ability: 'admin_geo',
    summary:
      'Changes a site, on the primary. A secondary may send this of itself, signed and with nothing but `enabled`, also while it is disabled.',
    takes: 'nodeChange',
    answers: { status: 200, body: 'node' },
    fails: [400, 401, 404, 413, 415],
  },
  {
    id: 'remove',
    method: 'delete',
    paths: ['/:id'],
    ability: 'admin_geo',
    summary: 'Removes a site, on the primary; the primary itself only as the last one.',
    answers: { status: 204 },
    fails: [400, 404],
  },
  {
    id: 'status',
    method: 'get',
    paths: ['/:id/status'],
    ability: 'read_geo',
    summary: 'The status of a site, as it was gathered last. Nothing is counted.',
    takes: 'refresh',
    answers: { status: 200, body: 'status' },
    fails: [400, 404],
  },
  {
    id: 'repair',
    method: 'post',
    paths: ['/:id/repair'],
    ability: 'admin_geo',
    summary:
      'Does nothing, for sites sign their requests and need no OAuth application. Kept for clients that call it.',
    answers: { status: 200, body: 'status' },
    fails: [400, 404],
  },
])
