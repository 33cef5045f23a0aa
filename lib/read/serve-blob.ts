import type { FileHandle } from 'node:fs/promises'
import type { NextFunction, Request, RequestHandler, Response } from 'express'
import type { Knex } from 'knex'
import { type KnownBlob, loadKnownBlob } from '../blob/known-blob.ts'
import { parseRecordId, type Replicable } from '../blob/replicable.ts'
import type { StoreIdentities } from '../blob/store-identity.ts'
import { answering } from '../databases.ts'
import { GeoError } from '../errors.ts'
import type { LoggerLike } from '../log.ts'
import type { SiteDirectory } from '../site.ts'
import { checksumEtag } from '../transfer/checksum-etag.ts'
import { etagOf, openBlob, sendFile } from '../transfer/serve-one.ts'
import { takenInTime } from '../transfer/slow-client.ts'
import { answerFailure } from './answer-failure.ts'
import type { LocalCopies } from './local-copies.ts'
import type { PrimaryBlobs } from './primary-blobs.ts'

export interface ServeOptions<Row> {
  /** The name of the route's parameter that holds the key of the record. Default `id`. */
  readonly param?: string
  /** The media type of a row's file. Default `application/octet-stream`. */
  readonly contentType?: (row: Row) => string | null | undefined
}

export interface ReadContext {
  readonly main: Knex
  readonly sites: SiteDirectory
  readonly stores: StoreIdentities
  readonly copies: LocalCopies
  readonly primaryBlobs: PrimaryBlobs
  readonly logger: LoggerLike
  readonly idleTimeoutMs: number
}

// What each slow reader may hold in memory, and what is read at once.
const READ_BYTES = 256 * 1024

/** The handler of a route that answers with the file of one record, wherever its bytes are. */
export function serveBlob<Row>(
  context: ReadContext,
  replicable: Replicable,
  { param = 'id', contentType }: ServeOptions<Row> = {},
): RequestHandler {
  const answer = answerFailure(context.logger)
  return (request: Request, response: Response, next: NextFunction) => {
    const typeOf = ({ row }: KnownBlob) => contentType?.(row as Row) ?? 'application/octet-stream'
    serve(context, replicable, String(request.params[param]), typeOf, request, response).catch((reason: unknown) =>
      answer(reason, request, response, next),
    )
  }
}

async function serve(
  context: ReadContext,
  replicable: Replicable,
  asked: string,
  typeOf: (blob: KnownBlob) => string,
  request: Request,
  response: Response,
): Promise<void> {
  const blob = await answering(async () => {
    await context.sites.ensureFresh()
    const id = parseRecordId(replicable, asked)
    return id === null ? null : loadKnownBlob(context.main, replicable, id)
  })
  context.sites.requireMe()
  context.sites.requireUnfenced()
  if (!blob) throw new GeoError('RECORD_NOT_FOUND', `${replicable.name} not found`)
  const { key, failure } = blob
  if (blob.wanted && failure) throw keyUnknown(replicable, blob, failure)
  if (!blob.wanted || key === null) throw fileNotFound(replicable, blob)
  if (!response.hasHeader('x-content-type-options')) response.set('x-content-type-options', 'nosniff')
  // The host's function may fail: before a file is open, which nobody would close.
  const contentType = typeOf(blob)
  if (context.sites.role === 'primary') {
    const file = await openOwn(context, replicable, blob, key)
    return send(context, request, response, file, checksumEtag(replicable, blob.checksum.digest), contentType)
  }
  const copy = await context.copies.open(replicable, blob.id, key)
  if (copy) return send(context, request, response, copy.file, checksumEtag(replicable, copy.digest), contentType)
  await context.primaryBlobs.send(replicable, blob.id, contentType, request, response)
}

function fileNotFound({ names }: Replicable, { id }: KnownBlob): GeoError {
  return new GeoError('FILE_NOT_FOUND', `${names.className} #${id} file not found`)
}

/** What the host's function said is told to the log alone. */
function keyUnknown({ names }: Replicable, { id }: KnownBlob, cause: GeoError): GeoError {
  return new GeoError(cause.code, `Where the file of ${names.className} #${id} lies cannot be said`, { cause })
}

/** The primary's own file, unless its bytes are known to be wrong. */
async function openOwn(
  { stores, main, sites }: ReadContext,
  replicable: Replicable,
  { id, checksum }: KnownBlob,
  key: string,
): Promise<FileHandle> {
  const problem = await stores.problem(replicable, main, sites.siteName)
  if (problem) throw problem
  if (checksum.corrupt) {
    throw new GeoError('CORRUPT_ON_PRIMARY', `${replicable.names.className} #${id} is corrupt on the primary`)
  }
  return openBlob(replicable, id, key)
}

async function send(
  { idleTimeoutMs }: ReadContext,
  request: Request,
  response: Response,
  file: FileHandle,
  checksum: string | null,
  contentType: string,
): Promise<void> {
  try {
    const stat = await file.stat({ bigint: true })
    const etag = checksum ?? etagOf(stat)
    const sent = { size: Number(stat.size), etag, contentType, readBytes: READ_BYTES }
    await takenInTime(response, idleTimeoutMs, () => sendFile(request, response, file, sent))
  } finally {
    await file.close()
  }
}
