import { type FileHandle, open } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import type { Request, Response } from 'express'
import { confinedPath } from '../blob/confine.ts'
import { failureOf } from '../blob/disk-failure.ts'
import type { Replicable } from '../blob/replicable.ts'
import { READ_UNFOLLOWED } from '../blob/unfollowed.ts'
import { GeoError } from '../errors.ts'
import { sayKey } from './changed-key.ts'
import { fileVersion } from './file-version.ts'

// Trials: the 64 KiB that streams read by default halve the speed of a large file.
const READ_BYTES = 1024 * 1024

type OwnBuffer = Buffer<ArrayBuffer>

/**
 * Answers with the bytes of one file, or with the part of it that is asked for: a cut transfer goes on where it stopped.
 * HEAD is answered with the same headers.
 * @throws GeoError `FILE_NOT_FOUND`, `NOT_A_FILE`, `RANGE_NOT_SATISFIABLE`, and as failureOf says
 */
export async function sendBlob(
  request: Request,
  response: Response,
  blob: { replicable: Replicable; id: string; key: string },
): Promise<void> {
  const file = await openBlob(blob.replicable, blob.id, blob.key)
  try {
    const stat = await file.stat({ bigint: true })
    // The whole length stands in a header of its own, for content-length is that of a part, and proxies rewrite it.
    response.set({ 'geo-blob-bytes': String(stat.size), ...sayKey(blob.key) })
    await sendFile(request, response, file, {
      size: Number(stat.size),
      etag: etagOf(stat),
      contentType: 'application/octet-stream',
      readBytes: READ_BYTES,
    })
  } finally {
    await file.close()
  }
}

export interface SentFile {
  readonly size: number
  readonly etag: string
  readonly contentType: string
  /** How much is read at once, and so how much a slow reader keeps in memory. */
  readonly readBytes: number
}

/**
 * Answers with an open file as HTTP wants it: 304, 206 and 416 by ETag and range.
 * @throws GeoError `RANGE_NOT_SATISFIABLE`
 */
export async function sendFile(
  request: Request,
  response: Response,
  file: FileHandle,
  { size, etag, contentType, readBytes }: SentFile,
): Promise<void> {
  const range = answerHead(request, response, { size, etag, contentType })
  if (!range) response.end()
  else {
    // A file that shrinks meanwhile leaves the response short, which the other side notices.
    const buffers = new Set<ArrayBuffer>()
    await pipeline(partsOf(file, range, readBytes, response.writableHighWaterMark, buffers), response)
    // The kernel has all of it by now. Two hundred files of a mebibyte else leave 68 MiB to the collector at times.
    for (const buffer of buffers) buffer.transfer(0)
  }
}

/**
 * The bytes of a range in parts of that size: while one is on its way the next is read. Two buffers are used in turns, for a new
 * one for each part costs V8 more to get rid of than sending it. The buffer of a part is used again once the part after it is asked
 * for: after one as large as its high-water mark a response asks when it has passed it on (`drain`).
 * `inUse`: those that the last parts were read into.
 */
async function* partsOf(
  file: FileHandle,
  { start, end }: AskedRange,
  readBytes: number,
  highWaterMark: number,
  inUse: Set<ArrayBuffer>,
): AsyncGenerator<Buffer> {
  let position = start
  const read = async (into: OwnBuffer | null): Promise<OwnBuffer> => {
    const buffer = into ?? Buffer.allocUnsafeSlow(Math.min(readBytes, end - position))
    inUse.add(buffer.buffer)
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, end - position), position)
    position += bytesRead
    return buffer.subarray(0, bytesRead)
  }
  let spare: OwnBuffer | null = null
  let next: Promise<OwnBuffer> | null = read(null)
  try {
    while (next) {
      const part: OwnBuffer = await next
      if (part.length === 0) return
      next = position < end ? read(spare) : null
      yield part
      spare = part.length >= highWaterMark ? part : null
      if (!spare && next) inUse.delete(part.buffer)
    }
  } finally {
    // Whoever reads no further has no use for what is being read.
    await next?.catch(() => undefined)
  }
}

export interface AskedRange {
  readonly start: number
  /** The first byte after it. */
  readonly end: number
  readonly partial: boolean
}

/**
 * Sets status and headers of an answer with bytes. Returns which of them are to follow, or null where none are.
 * @throws GeoError `RANGE_NOT_SATISFIABLE`
 */
export function answerHead(
  request: Request,
  response: Response,
  { size, etag, contentType }: Omit<SentFile, 'readBytes'>,
): AskedRange | null {
  response.set({ etag, 'accept-ranges': 'bytes' })
  if (request.fresh) {
    response.status(304)
    return null
  }
  const range = askedRange(request, response, size, etag)
  response.status(range.partial ? 206 : 200).set('content-length', String(range.end - range.start))
  // Not by `set`, which would add a charset that nobody has said.
  response.setHeader('content-type', contentType)
  if (range.partial) response.set('content-range', `bytes ${range.start}-${range.end - 1}/${size}`)
  return request.method === 'HEAD' || range.end === range.start ? null : range
}

/** Names the bytes of an open file. */
export function etagOf(stat: Parameters<typeof fileVersion>[0]): string {
  return `"${fileVersion(stat)}"`
}

/** What of the file is asked for, as [start, end). Several ranges, or one of another version, are answered with the whole. */
function askedRange(request: Request, response: Response, size: number, etag: string): AskedRange {
  const whole = { start: 0, end: size, partial: false }
  const ifRange = request.get('if-range')
  if (ifRange !== undefined && ifRange !== etag) return whole
  const ranges = request.range(size)
  if (ranges === -1) {
    response.set('content-range', `bytes */${size}`)
    throw new GeoError('RANGE_NOT_SATISFIABLE', `The blob has ${size} bytes; ${request.get('range')} lies beyond them`)
  }
  const [range] = ranges === undefined || ranges === -2 || ranges.type !== 'bytes' ? [] : ranges
  if (!range || (Array.isArray(ranges) && ranges.length > 1)) return whole
  return { start: range.start, end: range.end + 1, partial: true }
}

/**
 * Opens the file under a key for reading; links are not followed.
 * @throws GeoError `FILE_NOT_FOUND`, `NOT_A_FILE`, and as failureOf says
 */
export async function openBlob(replicable: Replicable, id: string, key: string): Promise<FileHandle> {
  try {
    const file = await open(confinedPath(replicable.store.root, key), READ_UNFOLLOWED)
    if ((await file.stat()).isFile()) return file
    await file.close()
    throw new GeoError('NOT_A_FILE', `${JSON.stringify(key)} is not a regular file`)
  } catch (reason) {
    const { code, message } = failureOf(reason, key)
    if (code !== 'FILE_MISSING') throw new GeoError(code, message, { cause: reason })
    throw new GeoError('FILE_NOT_FOUND', `${replicable.names.className} #${id} file not found`, { cause: reason })
  }
}
