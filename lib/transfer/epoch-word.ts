import { createHash } from 'node:crypto'
import express, { type Request, type Response, type Router } from 'express'
import { z } from 'zod'
import type { Clock } from '../clock.ts'
import { answering } from '../databases.ts'
import { GeoError } from '../errors.ts'
import type { LoggerLike } from '../log.ts'
import type { SiteDirectory } from '../site.ts'
import type { Site } from '../site-table.ts'
import { answerErrors } from './answer-errors.ts'
import { MOST_XACT_ID, upTo } from './postgres-number.ts'
import { bodyInTime } from './slow-client.ts'
import type { TransferThreads } from './threads.ts'
import { authenticate, type DoorContext, signAsMe, signedBy } from './token.ts'

/**
 * How sites tell each other of promotions: whoever asks says which epoch it knows of, and hears which the other does; and of all
 * promotions that it does not know yet where it asks for them, with `?promotions=true`.
 */

export const EPOCH_PATH = '/api/v4/geo/epoch'

const TIMEOUT_MS = 10_000
// Asked every 30 seconds, and read on the host's own thread.
const LONGEST_ANSWER_BYTES = 16 * 1024
/** With the transactions of each promotion. */
const LONGEST_WITH_PROMOTIONS_BYTES = 16 * 1024 * 1024

const transactionId = upTo(MOST_XACT_ID)

const promotionShape = z.strictObject({
  epoch: z.int().min(1),
  siteName: z.string(),
  formerSiteName: z.string().nullable(),
  /** ISO 8601. */
  promotedAt: z.iso.datetime(),
  /** The time of the last transaction that had reached the replica. ISO 8601. */
  replayedAt: z.iso.datetime().nullable(),
  /** Whether the former primary had ended its writes, and all of them had arrived. */
  sealed: z.boolean(),
  arrivedBelow: transactionId,
  arrivedXactIds: z.array(transactionId),
})

/** A promotion as other sites need to know it. Transactions are those of the former primary's database. */
export type Promotion = z.output<typeof promotionShape>

const wordShape = z.strictObject({
  site: z.string(),
  epoch: z.int().min(0),
  promotions: z.array(promotionShape),
})

/** What a site says of the epoch it knows of, and of the promotions after that of whoever asked for them. */
export type EpochWord = z.output<typeof wordShape>

const answerShape = z.strictObject({ word: z.string(), authorization: z.string() })

export interface EpochRouteContext extends DoorContext {
  readonly logger: LoggerLike
  readonly idleTimeoutMs: number
  promotionsAfter(epoch: number): Promise<Promotion[]>
}

/** Where any site asks any other for its word, also one that is disabled, or whose epoch is another. */
export function epochRouter(context: EpochRouteContext): Router {
  const router = express.Router()
  router.use(EPOCH_PATH, bodyInTime(context))
  router.post(EPOCH_PATH, (request, response, next) => void answer(context, request, response).catch(next))
  router.use(EPOCH_PATH, answerErrors(context.logger))
  return router
}

async function answer(context: EpochRouteContext, request: Request, response: Response): Promise<void> {
  const { sites, clock } = context
  await answering(() => sites.ensureFresh())
  const { scope, epoch } = await authenticate(request, context, { disabledToo: true, ofAnyEpoch: true })
  if (!('scope' in scope)) throw new GeoError('TOKEN_SCOPE', '401 Unauthorized')
  const promotions = request.query['promotions'] === 'true' ? await answering(() => context.promotionsAfter(epoch)) : []
  const word = JSON.stringify({ site: sites.siteName, epoch: sites.epoch, promotions } satisfies EpochWord)
  response.json({ word, authorization: await signAsMe(sites, { word_sha256: digestOf(word) }, clock) })
}

export interface AskingContext {
  readonly sites: SiteDirectory
  readonly threads: Pick<TransferThreads, 'post'>
  readonly clock: Clock
}

/**
 * The word of another site, `withPromotions` that this one does not know of. That site hears of this one's epoch by being asked. Where
 * it knows of a later one, this site has heard of that too.
 * @throws GeoError `SITE_UNREACHABLE`, `INVALID_RESPONSE`, `SITE_UNKNOWN`, or the code with which it refused
 */
export async function askForWord(
  { sites, threads, clock }: AskingContext,
  site: Site,
  { withPromotions = false }: { withPromotions?: boolean } = {},
): Promise<EpochWord> {
  const posted = await threads.post({
    url: `${site.internalUrl}${EPOCH_PATH.slice(1)}${withPromotions ? '?promotions=true' : ''}`,
    authorization: await signAsMe(sites, { scope: 'geo_api' }, clock),
    body: '{}',
    timeoutMs: TIMEOUT_MS,
    longestAnswerBytes: withPromotions ? LONGEST_WITH_PROMOTIONS_BYTES : LONGEST_ANSWER_BYTES,
  })
  if (posted.refusal) {
    const { code, message } = posted.refusal
    const itsMessage = message.replace(/^The primary\b/, `The site "${site.name}"`)
    throw new GeoError(code === 'PRIMARY_UNREACHABLE' ? 'SITE_UNREACHABLE' : code, itsMessage)
  }
  const { word, authorization } = parsed(answerShape, posted.answer, site)
  const signed = await signedBy(authorization, sites, clock)
  const isItsWord = 'word_sha256' in signed.scope && signed.scope.word_sha256 === digestOf(word)
  if (!isItsWord || signed.site.id !== site.id) throw invalid(site, 'is not signed by it')
  const said = parsed(wordShape, word, site)
  if (said.epoch !== signed.epoch) throw invalid(site, 'speaks of two epochs')
  await sites.hear(said.epoch)
  return said
}

function parsed<Shape extends z.ZodType>(shape: Shape, text: string, site: Site): z.output<Shape> {
  try {
    return shape.parse(JSON.parse(text))
  } catch (cause) {
    throw invalid(site, 'cannot be read', cause)
  }
}

function invalid({ name }: Site, what: string, cause?: unknown): GeoError {
  return new GeoError('INVALID_RESPONSE', `What the site "${name}" says of its epoch ${what}`, { cause })
}

function digestOf(word: string): string {
  return createHash('sha256').update(word).digest('hex')
}
