import type { Dispatcher } from 'undici'
import { type ErrorCode, isErrorCode, messageOf } from '../errors.ts'

/** Why a request as a whole was not answered with blobs. */
export interface Refusal {
  /** `pause`: nothing is wrong with the blobs; the site waits and counts no retry. `failed`: the blobs asked for failed. */
  readonly kind: 'pause' | 'failed'
  readonly code: ErrorCode
  readonly message: string
  /** How long the primary asked to be left alone, in milliseconds. */
  readonly retryAfterMs?: number
}

/** What a registry says of a blob whose file the primary does not have (GB.E.4). */
export const MISSING_ON_PRIMARY = 'The file is missing on the Geo primary site'

/** The primary did not answer, or the connection broke. */
export function unreachable(reason: unknown): Refusal {
  return { kind: 'pause', code: 'PRIMARY_UNREACHABLE', message: `The primary does not answer: ${describe(reason)}` }
}

function describe(reason: unknown): string {
  // With several addresses for a host name, Node reports all failures in one error that has no message.
  if (reason instanceof AggregateError) return reason.errors.map(messageOf).join('; ')
  return messageOf(reason)
}

const LONGEST_MESSAGE = 16 * 1024

/** What an answer other than 200 means. */
export async function readRefusal({ statusCode, headers, body }: Dispatcher.ResponseData): Promise<Refusal> {
  const { code, geo_code: geoCode, message } = await readError(body)
  const said = `Non-success HTTP response status code ${statusCode}${message ? `: ${message}` : ''}`
  if (statusCode === 429 || statusCode === 503) {
    const retryAfterMs = parseRetryAfter(headers['retry-after'])
    return { kind: 'pause', code: 'PRIMARY_BUSY', message: said, ...(retryAfterMs !== null && { retryAfterMs }) }
  }
  if (statusCode === 502 || statusCode === 504) return { kind: 'pause', code: 'PRIMARY_UNREACHABLE', message: said }
  if (statusCode === 401 || statusCode === 403 || code === 'NOT_PRIMARY') {
    return { kind: 'pause', code: 'PRIMARY_REFUSED', message: said }
  }
  if (statusCode === 404 && geoCode === 'FILE_NOT_FOUND') {
    return { kind: 'failed', code: 'FILE_NOT_FOUND', message: MISSING_ON_PRIMARY }
  }
  return { kind: 'failed', code: isErrorCode(code) ? code : 'HTTP_STATUS', message: said }
}

async function readError(
  body: Dispatcher.ResponseData['body'],
): Promise<{ code?: string; geo_code?: string; message?: string }> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > LONGEST_MESSAGE) break
    chunks.push(chunk)
  }
  try {
    const parsed: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'))
    return typeof parsed === 'object' && parsed !== null ? parsed : {}
  } catch {
    // A proxy's page in HTML says nothing that the status does not.
    return {}
  }
}

// A header gone wrong must not silence a site for years.
const LONGEST_RETRY_AFTER_MS = 3_600_000

/** Seconds or an HTTP date, in milliseconds from now, at most an hour; null where neither. */
function parseRetryAfter(header: string | string[] | undefined): number | null {
  if (typeof header !== 'string' || header.trim() === '') return null
  const seconds = Number(header)
  const delayMs = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - Date.now()
  return Number.isFinite(delayMs) && delayMs >= 0 ? Math.min(delayMs, LONGEST_RETRY_AFTER_MS) : null
}
