import express, { type Request, type Response, type Router } from 'express'
import { z } from 'zod'
import { answering } from '../../databases.ts'
import { GeoError } from '../../errors.ts'
import { answerErrors } from '../../transfer/answer-errors.ts'
import { jsonText } from '../../transfer/json-text.ts'
import { bodyInTime } from '../../transfer/slow-client.ts'
import { authenticate, type TokenScope } from '../../transfer/token.ts'
import { answerCall } from './answer-call.ts'
import type { Answer, CallName } from './calls.ts'
import type { Asker } from './details.ts'
import { INPUT_SHAPES } from './input-shapes.ts'
import type { DetailsSources } from './sources.ts'

export const DETAILS_PATH = '/api/v4/geo/details'

const LONGEST_BODY = '1mb'

const questionShape = z.strictObject({
  call: z.enum(Object.keys(INPUT_SHAPES) as CallName[]),
  input: z.unknown(),
})

/**
 * Where the primary asks what this site knows, for somebody whom its host has let in. One token is good for one question, whose
 * digest it holds.
 */
export function detailsRouter(sources: DetailsSources, answer: Answer): Router {
  const router = express.Router()
  // Signatures first: no body is read for strangers.
  router.post(
    DETAILS_PATH,
    bodyInTime({ ...sources, idleTimeoutMs: sources.settings.idleTimeoutMs }),
    (request, response, next) => void admit(sources, request, response).then(() => next(), next),
    express.json({ limit: LONGEST_BODY }),
    (request, response, next) => void reply(sources, answer, request, response).catch(next),
  )
  router.use(DETAILS_PATH, answerErrors(sources.logger))
  return router
}

async function admit(sources: DetailsSources, request: Request, response: Response): Promise<void> {
  await answering(() => sources.sites.ensureFresh())
  const { site, scope } = await authenticate(request, sources)
  if (!site.primary || !('details_sha256' in scope)) throw new GeoError('TOKEN_SCOPE', '401 Unauthorized')
  response.locals['geoDetailsScope'] = scope
}

async function reply({ sites }: DetailsSources, answer: Answer, request: Request, response: Response): Promise<void> {
  const scope = response.locals['geoDetailsScope'] as Extract<TokenScope, { details_sha256: string }>
  if (scope.details_sha256 !== jsonText(request.body).sha256) throw new GeoError('TOKEN_SCOPE', '401 Unauthorized')
  // It does not say for which site it was made: whoever was asked must not ask the primary in its own name.
  sites.requireSecondary()
  const parsed = questionShape.safeParse(request.body)
  if (!parsed.success) throw new GeoError('INVALID_REQUEST', 'The body is no question that this version knows')
  const { call, input } = parsed.data
  const { authenticating_user_id: operator, authenticating_ip: ip, abilities } = scope
  const asker: Asker = { operator, ip: ip ?? null, abilities }
  response.set('cache-control', 'no-store').json(await answerCall(answer, call, input, asker))
}
