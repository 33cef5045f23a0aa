import { pipeline } from 'node:stream/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import express, { type Request, type Response, type Router } from 'express'
import type { Knex } from 'knex'
import { z } from 'zod'
import { type KnownBlob, loadKnownBlob, loadKnownBlobs } from '../blob/known-blob.ts'
import { parseRecordId, type Replicable } from '../blob/replicable.ts'
import type { StoreIdentities } from '../blob/store-identity.ts'
import { answering } from '../databases.ts'
import { GeoError } from '../errors.ts'
import type { Site } from '../site-table.ts'
import { traceServe } from '../tracing.ts'
import { answerErrors } from './answer-errors.ts'
import { CHECKSUM_ETAG_HEADER, checksumEtag } from './checksum-etag.ts'
import { BLOBS_PER_REQUEST, encodeHeader, FRAMES_CONTENT_TYPE, type FrameHeader } from './frame.ts'
import { OpenAnswers } from './open-answers.ts'
import type { PackItem } from './pack.ts'
import { sendBlob } from './serve-one.ts'
import { bodyInTime, type Patience, takenInTime } from './slow-client.ts'
import type { TransferThreads } from './threads.ts'
import { authenticate, type DoorContext, digestOfIds, type TokenScope } from './token.ts'
import { isGone, whenGone } from './when-gone.ts'

export interface ServeContext extends DoorContext, Patience {
  readonly main: Knex
  readonly replicables: ReadonlyMap<string, Replicable>
  readonly threads: TransferThreads
  readonly stores: StoreIdentities
  /** How many requests for blobs a site is answered at once beyond its capacity. */
  readonly retrieveMargin: number
}

const SLICE_BYTES = 256 * 1024
const LONGEST_BODY = '256kb'
const idsShape = z.strictObject({ ids: z.array(z.string()).min(1).max(BLOBS_PER_REQUEST) })

/** The routes from which secondaries fetch blobs (GB.E.2). Every refusal has a status and a code, and is logged once. */
export function retrieveRouter(context: ServeContext): Router {
  const router = express.Router()
  const path = '/api/v4/geo/retrieve/:name'
  const open = new OpenAnswers(context.retrieveMargin)
  router.use(path, bodyInTime(context), (request, response, next) => {
    // Signatures first: nothing is said, and no body is read, for strangers.
    admit(context, open, request, response).then(() => {
      const span = traceServe(String(request.params['name']), request.get('traceparent'))
      if (span) whenGone(response, () => span.end())
      // It would be work that no place is kept for.
      next(
        isGone(response) ? new GeoError('REQUEST_TRUNCATED', 'The connection ended while this was let in') : undefined,
      )
    }, next)
  })
  router.get(`${path}/:id`, (request, response, next) => {
    serveOne(context, request, response).catch(next)
  })
  router.post(path, express.json({ limit: LONGEST_BODY }), (request, response, next) => {
    serveMany(context, request, response).catch(next)
  })
  router.use('/api/v4/geo/retrieve', answerErrors(context.logger))
  return router
}

async function admit(context: ServeContext, open: OpenAnswers, request: Request, response: Response): Promise<void> {
  const { sites } = context
  await answering(() => sites.ensureFresh())
  const asked = await authenticate(request, context)
  response.locals['geo'] = asked
  sites.requirePrimary()
  open.admit(asked.site, response)
}

// What a transfer of a site reads, and its kernel keeps, before it lets the others go on.
const TAKEN_IN_TURN_BYTES = 1024 * 1024

/** How long a site may take nothing. One that receives no faster than it may lets its transfers wait for each other. */
function patienceWith({ idleTimeoutMs }: ServeContext, response: Response): number {
  const { transferBytesPerSecond, filesMaxCapacity } = (response.locals['geo'] as { site: Site }).site
  if (transferBytesPerSecond === null) return idleTimeoutMs
  return idleTimeoutMs + (1000 * filesMaxCapacity * TAKEN_IN_TURN_BYTES) / transferBytesPerSecond
}

/** The type that is asked for, if the token was made for it and for what `fits` says. */
function requireScope(
  { replicables }: ServeContext,
  request: Request,
  response: Response,
  fits: (scope: TokenScope) => boolean,
): Replicable {
  const { scope } = response.locals['geo'] as { scope: TokenScope }
  const name = String(request.params['name'])
  if (!('replicable_name' in scope) || scope.replicable_name !== name || !fits(scope))
    throw new GeoError('TOKEN_SCOPE', '401 Unauthorized')
  const replicable = replicables.get(name)
  if (!replicable) throw new GeoError('UNKNOWN_REPLICABLE', `Cannot find a Geo replicator for ${name}`)
  return replicable
}

function requireId(replicable: Replicable, id: string): string {
  const parsed = parseRecordId(replicable, id)
  if (parsed === null)
    throw new GeoError('INVALID_RECORD_ID', `${JSON.stringify(id)} is not a key of ${replicable.name}`)
  return parsed
}

/** The key of the blob, where it may travel. */
function servableKey(replicable: Replicable, id: string, record: KnownBlob | null | undefined): string {
  if (!record) throw new GeoError('RECORD_NOT_FOUND', `${replicable.name} not found`)
  if (record.checksum.corrupt) {
    throw new GeoError('CORRUPT_ON_PRIMARY', `${replicable.names.className} #${id} is corrupt on the primary`)
  }
  if (record.failure) throw record.failure
  if (record.key === null) throw new GeoError('FILE_NOT_FOUND', `${replicable.names.className} #${id} file not found`)
  return record.key
}

async function requireStore({ stores, main, sites }: ServeContext, replicable: Replicable): Promise<void> {
  const problem = await answering(() => stores.problem(replicable, main, sites.siteName))
  if (problem) throw ofWholeStore(problem)
}

/** The same, looked up anew: a file that is not there may lie on a volume that has just gone. */
async function requireStoreNow({ stores, main, sites }: ServeContext, replicable: Replicable): Promise<void> {
  const problem = await answering(() => stores.problemNow(replicable, main, sites.siteName))
  if (problem) throw ofWholeStore(problem)
}

/** A store that cannot be told from another is no failure of the blob that is asked for: whoever asks waits, as for one that is away. */
function ofWholeStore(problem: GeoError): GeoError {
  return problem.code === 'STORE_NOT_MOUNTED'
    ? problem
    : new GeoError('STORE_NOT_MOUNTED', `The store cannot be told: ${problem.message}`, { cause: problem })
}

async function serveOne(context: ServeContext, request: Request, response: Response): Promise<void> {
  const asked = String(request.params['id'])
  const replicable = requireScope(
    context,
    request,
    response,
    (scope) => 'replicable_id' in scope && scope.replicable_id === asked,
  )
  const id = requireId(replicable, asked)
  await requireStore(context, replicable)
  const blob = await answering(() => loadKnownBlob(context.main, replicable, id))
  const key = servableKey(replicable, id, blob)
  const etag = blob && checksumEtag(replicable, blob.checksum.digest)
  if (etag) response.set(CHECKSUM_ETAG_HEADER, etag)
  const patienceMs = patienceWith(context, response)
  await takenInTime(response, patienceMs, () =>
    sendBlob(request, response, { replicable, id, key }).catch(async (reason: unknown) => {
      if (isMissing(reason)) await requireStoreNow(context, replicable)
      throw reason
    }),
  )
}

function isMissing(reason: unknown): boolean {
  return reason instanceof GeoError && reason.code === 'FILE_NOT_FOUND'
}

async function serveMany(context: ServeContext, request: Request, response: Response): Promise<void> {
  // A body that was cut before the parser looked at it leaves no error behind, only no body.
  if (request.readableAborted) throw new GeoError('REQUEST_TRUNCATED', 'The request body ended early')
  const parsed = idsShape.safeParse(request.body)
  if (!parsed.success) throw new GeoError('INVALID_REQUEST', `Send {"ids": […]} with 1 to ${BLOBS_PER_REQUEST} keys`)
  const { ids } = parsed.data
  const digest = digestOfIds(ids)
  const replicable = requireScope(
    context,
    request,
    response,
    (scope) => 'replicable_ids_sha256' in scope && scope.replicable_ids_sha256 === digest,
  )
  const keys = ids.map((id) => requireId(replicable, id))
  await requireStore(context, replicable)
  const known = await answering(() => loadKnownBlobs(context.main, replicable, keys))
  const items: PackItem[] = []
  const refused: FrameHeader[] = []
  for (const id of keys) {
    try {
      items.push({
        id,
        root: replicable.store.root,
        key: servableKey(replicable, id, known.get(id)),
      })
    } catch (reason) {
      if (!(reason instanceof GeoError)) throw reason
      refused.push({ frame: 'error', id, code: reason.code, message: reason.message })
      context.logger.warn({ code: reason.code, replicable: replicable.name, id }, reason.message)
    }
  }
  const { response: body, failures } = await context.threads.pack(items, refused.length)
  if (failures.some(({ code }) => code === 'FILE_NOT_FOUND')) await requireStoreNow(context, replicable)
  for (const { id, code, message } of failures) context.logger.warn({ code, replicable: replicable.name, id }, message)
  response.set('content-type', FRAMES_CONTENT_TYPE)
  const head = Buffer.concat(refused.map(encodeHeader))
  response.set('content-length', String(head.length + body.length))
  await takenInTime(response, patienceWith(context, response), () => pipeline(inSlices(head, body), response))
  // Given back at once: megabytes that wait for the collector bring on full collections, which nothing else here would need.
  body.buffer.transfer(0)
}

/** Hands a response to the socket in pieces, so that several of them at once do not hold up the host's other requests. */
async function* inSlices(head: Buffer, body: Uint8Array): AsyncGenerator<Uint8Array> {
  if (head.length > 0) yield head
  for (let offset = 0; offset < body.length; offset += SLICE_BYTES) {
    yield body.subarray(offset, offset + SLICE_BYTES)
    await nextTurn()
  }
}
