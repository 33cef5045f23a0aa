import { type ErrorCode, isErrorCode, messageOf } from '../errors.ts'
import { oneLine } from '../printable.ts'
import type { Answer } from './exchange.ts'

/** Why a request as a whole was not answered with blobs. */
export interface Refusal {
  /** `pause`: nothing is wrong with the blobs; the site waits and counts no retry. `failed`: the blobs asked for failed. */
  readonly kind: 'pause' | 'failed'
  readonly code: ErrorCode
  readonly message: string
  /** How long the primary asked to be left alone, in milliseconds. */
  readonly retryAfterMs?: number
  /** Of a pause: only what is asked for has to wait, for the primary has lost the store of its type and goes on with others. */
  readonly ofType?: true
  /** The time by the clock of the primary, where it said that this is why. */
  readonly primaryNowMs?: number
}

/** What a registry says of a blob whose file the primary does not have (GB.E.4). */
export const MISSING_ON_PRIMARY = 'The file is missing on the Geo primary site'

/** The primary did not answer, or the connection broke. */
export function unreachable(reason: unknown): Refusal {
  const text = describe(reason)
  if (isUntrusted(reason)) {
    return { kind: 'pause', code: 'TLS_UNTRUSTED', message: `The certificate of the primary is not trusted: ${text}` }
  }
  return { kind: 'pause', code: 'PRIMARY_UNREACHABLE', message: `The primary does not answer: ${text}` }
}

// What OpenSSL and Node say of a certificate that they do not accept.
const UNTRUSTED = /^(ERR_TLS_CERT_|CERT_|UNABLE_TO_(GET_ISSUER|VERIFY)|DEPTH_ZERO_SELF_SIGNED|SELF_SIGNED|INVALID_CA)/

function isUntrusted(reason: unknown): boolean {
  if (reason instanceof AggregateError) return reason.errors.some(isUntrusted)
  return UNTRUSTED.test((reason as NodeJS.ErrnoException | null)?.code ?? '')
}

function describe(reason: unknown): string {
  // With several addresses for a host name, Node reports all failures in one error that has no message.
  if (reason instanceof AggregateError) return reason.errors.map(messageOf).join('; ')
  return messageOf(reason)
}

const LONGEST_MESSAGE = 16 * 1024

/**
 * What an answer without blobs means. `redirected`: it came from where the primary had sent us, so what it says of
 * authorisation is said of that one link.
 */
export async function readRefusal(answer: Answer, { redirected = false } = {}): Promise<Refusal> {
  const { status, headers } = answer
  const { code, geo_code: geoCode, message, now_ms: nowMs } = await readError(answer)
  const why = typeof message === 'string' && message !== '' ? `: ${oneLine(message)}` : ''
  const said = `Non-success HTTP response status code ${status}${why}`
  if (code === 'STALE_EPOCH') return { kind: 'pause', code, message: said }
  if (status === 429 || status === 503) {
    const retryAfterMs = parseRetryAfter(headers['retry-after'])
    const ofType = code === 'STORE_NOT_MOUNTED' && ({ ofType: true } as const)
    return {
      kind: 'pause',
      code: 'PRIMARY_BUSY',
      message: said,
      ...(retryAfterMs !== null && { retryAfterMs }),
      ...ofType,
    }
  }
  if (status === 408 || status === 502 || status === 504)
    return { kind: 'pause', code: 'PRIMARY_UNREACHABLE', message: said }
  if (redirected) return { kind: 'failed', code: 'HTTP_STATUS', message: said }
  if (status === 401 || status === 403 || code === 'NOT_PRIMARY') {
    const time = code === 'TOKEN_EXPIRED' && typeof nowMs === 'number' && { primaryNowMs: nowMs }
    return { kind: 'pause', code: 'PRIMARY_REFUSED', message: said, ...time }
  }
  if (status === 404 && geoCode === 'FILE_NOT_FOUND') {
    return { kind: 'failed', code: 'FILE_NOT_FOUND', message: MISSING_ON_PRIMARY }
  }
  return { kind: 'failed', code: isErrorCode(code) ? code : 'HTTP_STATUS', message: said }
}

/** Reads a short body whose bytes are of no interest beyond a message, and cuts a long one. */
export async function readShort(answer: Answer, longestBytes = LONGEST_MESSAGE): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  await answer
    .read((chunk) => {
      length += chunk.length
      if (length > longestBytes) answer.dump()
      else chunks.push(Buffer.from(chunk))
    })
    // Cut short by us or by others: what came before is all there is to say.
    .catch(() => undefined)
  return Buffer.concat(chunks).toString('utf8')
}

interface ToldError {
  readonly code?: string
  readonly geo_code?: string
  readonly message?: unknown
  readonly now_ms?: unknown
}

async function readError(answer: Answer): Promise<ToldError> {
  const text = await readShort(answer)
  try {
    const parsed: unknown = JSON.parse(text)
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
