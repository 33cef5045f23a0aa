import express, { type NextFunction, type Request, type Response, type Router } from 'express'
import type { Replicable } from '../../blob/replicable.ts'
import type { LoggerLike } from '../../log.ts'
import type { Site } from '../../site-table.ts'
import { bodyInTime } from '../../transfer/slow-client.ts'
import { type AskerSettings, askerOf } from '../asker.ts'
import { requireAbility } from '../authorize.ts'
import type { SiteStatus } from '../status/fields.ts'
import { type StatusSources, statusesOf } from '../status/read.ts'
import { statusSchema } from '../status/schema.ts'
import { type AdmissionContext, admit } from './admission.ts'
import { nodeEntity } from './node-entity.ts'
import { newNodeParams, nodeChangeParams, refreshParams } from './node-params.ts'
import { OPENAPI_PATH, openApiDocument } from './openapi.ts'
import { paginate } from './pagination.ts'
import { paramsOf, readBody } from './request-params.ts'
import { answeringRest, answerRestErrors, badParams, notFound } from './rest-error.ts'
import { type OperationId, ROUTES } from './routes.ts'
import { pathOf, TITLES, WORDINGS, type Wording } from './wording.ts'
import { createNode, removeNode, updateNode, type WriteContext } from './write-node.ts'

export interface RestContext extends AdmissionContext, WriteContext, StatusSources {
  readonly settings: AskerSettings & { readonly replicables: readonly Replicable[]; readonly idleTimeoutMs: number }
  readonly logger: LoggerLike
}

type Handler = (request: Request, response: Response, signer: Site | null) => Promise<unknown>

/** GitLab's REST API for sites and their statuses (GB.G.2), under both of its names. No request counts anything. */
export function restRouter(context: RestContext): Router {
  const router = express.Router()
  for (const wording of WORDINGS) router.use(pathOf(wording), nodesRouter(context, wording))
  router.get(OPENAPI_PATH, requireAbility(context.isAllowed, 'read_geo'), (_request, response) => {
    response.json(openApiDocument(context.settings.replicables))
  })
  return router
}

function nodesRouter(context: RestContext, wording: Wording): Router {
  const handlers = handlersOf(context, wording)
  const router = express.Router()
  const inTime = bodyInTime({ ...context, idleTimeoutMs: context.settings.idleTimeoutMs })
  for (const route of ROUTES) {
    const hasBody = route.takes === 'newNode' || route.takes === 'nodeChange'
    router[route.method](
      [...route.paths],
      inTime,
      (request: Request, response: Response, next: NextFunction) => {
        answeringRest(() => admit(context, route, request)).then((signer) => {
          response.locals['geoSigner'] = signer
          next()
        }, next)
      },
      hasBody ? [...readBody] : [],
      (request: Request, response: Response, next: NextFunction) => {
        response.status(route.answers.status).set('cache-control', 'no-store')
        answeringRest(() => handlers[route.id](request, response, response.locals['geoSigner'] as Site | null)).then(
          (body) => (body === undefined ? response.end() : response.json(body)),
          next,
        )
      },
    )
  }
  router.use(answerRestErrors(context.logger))
  return router
}

function handlersOf(context: RestContext, wording: Wording): Record<OperationId, Handler> {
  const { sites, settings } = context
  const { replicables } = settings
  const entity = (site: Site) => nodeEntity(site, { wording, me: sites.me, replicables })
  const listUrl = (suffix = '') => `${sites.me?.url ?? '/'}${pathOf(wording).slice(1)}${suffix}`

  /** As the table is now: another process may have changed it a moment ago. By id. */
  async function allSites(): Promise<Site[]> {
    await sites.refresh()
    return [...sites.all].sort((left, right) => Number(left.id) - Number(right.id))
  }
  async function siteOf(request: Request): Promise<Site> {
    const id = idOf(request)
    const site = (await allSites()).find((known) => known.id === id)
    if (!site) throw notFound(TITLES[wording])
    return site
  }
  /** Of this site, and of the others that have told one. */
  async function toldStatuses(wanted: readonly Site[]): Promise<SiteStatus[]> {
    const statuses = await statusesOf(context, wanted, { wording })
    return wanted.flatMap((site) => {
      const status = statuses.get(site.id)
      return status && (status.updated_at !== null || site.id === sites.me?.id) ? [status] : []
    })
  }
  async function statusOfOne(request: Request): Promise<SiteStatus> {
    const [status] = await toldStatuses([await siteOf(request)])
    if (!status) throw notFound(`Status for Geo ${wording} not found`)
    return status
  }

  return {
    list: async (request, response) =>
      paginate(request, response, await allSites(), listUrl()).map((site) => entity(site)),
    create: async (request) =>
      entity(await createNode(context, paramsOf(request, newNodeParams), await askerOf(settings, request))),
    listStatuses: async (request, response) =>
      paginate(request, response, await toldStatuses(await allSites()), listUrl('/status')),
    statusSchema: async () => statusSchema(replicables, wording),
    one: async (request) => entity(await siteOf(request)),
    update: async (request, _response, signer) => {
      const asked = { wording, id: idOf(request), signer }
      const params = paramsOf(request, nodeChangeParams)
      return entity(await updateNode(context, asked, params, await askerOf(settings, request)))
    },
    remove: async (request) =>
      removeNode(context, { wording, id: idOf(request), signer: null }, await askerOf(settings, request)),
    status: async (request) => {
      paramsOf(request, refreshParams)
      return statusOfOne(request)
    },
    repair: (request) => statusOfOne(request),
  }
}

function idOf(request: Request): string {
  const id = String(request.params['id'])
  if (!/^\d{1,18}$/.test(id)) throw badParams(['id is invalid'])
  return String(BigInt(id))
}
