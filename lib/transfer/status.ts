import express, { type Request, type Response, type Router } from 'express'
import { z } from 'zod'
import { answering } from '../databases.ts'
import { GeoError } from '../errors.ts'
import { answerErrors } from './answer-errors.ts'
import { MOST_EVENT_ID, MOST_XACT_ID, upTo } from './postgres-number.ts'
import { bodyInTime, type Patience } from './slow-client.ts'
import { authenticate, type DoorContext } from './token.ts'

export const STATUS_PATH = '/api/v4/geo/status'

const LONGEST_BODY = '256kb'

const reportShape = z.looseObject({
  cursor_xact_id: upTo(MOST_XACT_ID),
  cursor_last_event_id: upTo(MOST_EVENT_ID),
  system_identifier: z.string().regex(/^[\x21-\x7e]{1,64}$/),
  timeline: z
    .int()
    .min(0)
    .max(2 ** 31 - 1),
  /** What the site has gathered of itself since it last told; absent where there is nothing new. */
  status: z
    .record(z.string(), z.unknown())
    .refine((status) => isStorable(status), 'cannot be stored')
    .optional(),
})

// No field of a status holds more than a list of objects.
const MOST_DEPTH = 10

/** Whether PostgreSQL takes it as jsonb: it takes no NUL and no half of a character in a text, and nothing that is nested without end. */
function isStorable(value: unknown, depth = 0): boolean {
  if (typeof value === 'string') return value.isWellFormed() && !value.includes('\0')
  if (typeof value !== 'object' || value === null) return true
  if (depth === MOST_DEPTH) return false
  return Object.entries(value).every(([name, item]) => isStorable(name) && isStorable(item, depth + 1))
}

/** What a secondary tells of itself (GB.G.2). Numbers of events and transactions as texts. */
export type StatusReport = z.input<typeof reportShape>

export interface StatusContext extends DoorContext, Patience {
  store(siteId: string, report: z.output<typeof reportShape>): Promise<void>
}

/** Where secondaries post how far they are; on the primary, signed with the scope `geo_api`. */
export function statusRouter(context: StatusContext): Router {
  const router = express.Router()
  // Signatures first: no body is read for strangers.
  const authenticated = (request: Request, response: Response) => requireSecondary(context, request, response)
  router.post(
    STATUS_PATH,
    bodyInTime(context),
    (request, response, next) => void authenticated(request, response).then(() => next(), next),
    express.json({ limit: LONGEST_BODY }),
    (request, response, next) => void take(context, request, response).catch(next),
  )
  // Only a site whose signature is right gets this answer: it is to learn by how much its clock is wrong.
  const time = ({ code }: GeoError) => (code === 'TOKEN_EXPIRED' ? { now_ms: context.clock.nowMs() } : {})
  router.use(STATUS_PATH, answerErrors(context.logger, time))
  return router
}

async function requireSecondary(context: StatusContext, request: Request, response: Response): Promise<void> {
  const { sites } = context
  await answering(() => sites.ensureFresh())
  const { site, scope } = await authenticate(request, context)
  if (!('scope' in scope)) throw new GeoError('TOKEN_SCOPE', '401 Unauthorized')
  sites.requirePrimary()
  if (site.primary) throw new GeoError('INVALID_REQUEST', 'Only a secondary has a status to post')
  response.locals['geoSiteId'] = site.id
}

async function take({ store, clock }: StatusContext, request: Request, response: Response): Promise<void> {
  const parsed = reportShape.safeParse(request.body)
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'body'}: ${issue.message}`)
    throw new GeoError('INVALID_REQUEST', problems.join('; '))
  }
  await answering(() => store(String(response.locals['geoSiteId']), parsed.data))
  // What the secondary measures its clock by.
  response.status(201).json({ now_ms: clock.nowMs() })
}
