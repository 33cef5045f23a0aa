import { hostOf, isAtHost } from '../redirect-hosts.ts'
import type { ReceiveTask } from './blob-order.ts'
import { changedKey, saidKey } from './changed-key.ts'
import { type Answer, type Asked, exchange, splitUrl } from './exchange.ts'
import type { Line } from './line.ts'
import { isStrongEtag } from './part.ts'
import { type Refusal, readRefusal, readShort } from './refusal.ts'

/** Where a version of a blob is to be gone on with. */
export interface GoOn {
  readonly etag: string
  readonly start: number
}

/** The bytes of a blob from `start` on are about to come. */
export interface BlobAnswer {
  readonly start: number
  /** Size of the whole blob. */
  readonly total: number
  /** Names the version, so that it can be gone on with; null where the answer gives no strong one. */
  readonly etag: string | null
  readonly read: Answer['read']
  readonly dump: Answer['dump']
}

/** The version cannot be gone on with: it is to be asked for from its first byte. */
export const START_AGAIN = 'start again'

/**
 * Asks the primary for a blob, or for the rest of it, and follows one redirect to a host that the settings of the site name.
 * Rejects where there is no answer at all.
 */
export async function askForBlob(
  task: ReceiveTask,
  line: Line,
  authorization: string,
  goOn: GoOn | null,
): Promise<BlobAnswer | Refusal | typeof START_AGAIN> {
  const range: Record<string, string> = goOn ? { range: `bytes=${goOn.start}-`, 'if-range': goOn.etag } : {}
  const ask = (url: string, more: Record<string, string> = {}): Promise<Answer> => {
    const asked: Asked = { method: 'GET', url, headers: { ...range, ...more } }
    return exchange(asked, task.idleTimeoutMs, line)
  }
  const first = await ask(task.url, { authorization, ...(task.traceparent && { traceparent: task.traceparent }) })
  if (!isRedirect(first)) {
    const changed = changedKey(task.blobs[0]?.key ?? '', saidKey(first.headers))
    if (!changed) return read(first, goOn, false)
    first.dump()
    return { kind: 'failed', ...changed }
  }
  const target = redirectTarget(first, task.url)
  await readShort(first)
  if (target === null) return invalid('The redirect leads to no http or https URL')
  const origin = splitUrl(target)?.origin ?? ''
  // Anywhere else it would be a way for whoever answers to have this site ask what only this site can reach.
  if (!isAtHost(origin, [hostOf(task.url), ...(task.redirectHosts ?? [])])) {
    return {
      kind: 'failed',
      code: 'REDIRECT_NOT_ALLOWED',
      message: `The redirect leads to ${JSON.stringify(origin.slice(0, 200))}, which is no host of that site`,
    }
  }
  // Whoever serves there must not get the token, which would open the primary; the link carries its own signature.
  const second = await ask(target)
  if (!isRedirect(second)) return read(second, goOn, true)
  second.dump()
  return {
    kind: 'failed',
    code: 'TOO_MANY_REDIRECTS',
    message: 'The redirect of the primary leads to another redirect',
  }
}

function invalid(message: string): Refusal {
  return { kind: 'failed', code: 'INVALID_RESPONSE', message }
}

function isRedirect({ status, headers }: Answer): boolean {
  return [301, 302, 303, 307, 308].includes(status) && headers['location'] !== undefined
}

/** The URL as it was sent; only one that is relative is put together with ours. */
function redirectTarget({ headers }: Answer, from: string): string | null {
  const location = headers['location']
  if (typeof location !== 'string') return null
  if (/^https?:\/\//i.test(location)) return splitUrl(location) && location
  const base = splitUrl(from)
  if (!base || !URL.canParse(location, from)) return null
  if (location.startsWith('/') && !location.startsWith('//')) return `${base.origin}${location}`
  const resolved = new URL(location, from)
  return /^https?:$/.test(resolved.protocol) ? resolved.href : null
}

async function read(
  answer: Answer,
  goOn: GoOn | null,
  redirected: boolean,
): Promise<BlobAnswer | Refusal | typeof START_AGAIN> {
  const { status, headers } = answer
  const etag = isStrongEtag(headers['etag']) ? headers['etag'] : null
  if (status === 200) {
    // A page of some proxy has a length as well, so only a store that the primary sent us to may say it in the usual way.
    const total = sizeOf(headers['geo-blob-bytes'] ?? (redirected ? headers['content-length'] : undefined))
    if (total !== null) return { start: 0, total, etag, read: answer.read, dump: answer.dump }
    answer.dump()
    return invalid('The answer does not say how long the blob is')
  }
  if (goOn && status === 206) {
    const [, start, total] = /^bytes (\d{1,15})-\d{1,15}\/(\d{1,15})$/.exec(String(headers['content-range'])) ?? []
    // Some servers and proxies know Range and not If-Range.
    if (etag === goOn.etag && Number(start) === goOn.start) {
      return { start: goOn.start, total: Number(total), etag, read: answer.read, dump: answer.dump }
    }
    answer.dump()
    return START_AGAIN
  }
  if (goOn && status === 416) {
    answer.dump()
    return START_AGAIN
  }
  return readRefusal(answer, { redirected })
}

function sizeOf(header: string | string[] | undefined): number | null {
  return typeof header === 'string' && /^[0-9]{1,15}$/.test(header) ? Number(header) : null
}
