import { Agent, request } from 'undici'
import { z } from 'zod'
import { type ErrorCode, GeoError, isErrorCode, messageOf } from '../../errors.ts'
import type { Site } from '../../site-table.ts'
import { jsonText } from '../../transfer/json-text.ts'
import { unreachable } from '../../transfer/refusal.ts'
import { signAsMe } from '../../transfer/token.ts'
import { connectOptions } from '../../trust.ts'
import type { Answer, Result } from './calls.ts'
import { DETAILS_PATH } from './details-route.ts'
import { RESULT_SHAPES } from './result-shapes.ts'
import type { DetailsSources } from './sources.ts'

const FIRST_BYTE_TIMEOUT_MS = 30_000
/** From the question to the last byte of the answer. */
const ANSWER_TIMEOUT_MS = 120_000
const LONGEST_ANSWER_BYTES = 4 * 1024 * 1024
const LONGEST_MESSAGE = 1000

const errorShape = z.object({ code: z.string().max(100), message: z.string().max(LONGEST_MESSAGE).catch('') })

/** Asks other sites for what they know. Connections are kept between questions. */
export class RemoteDetails {
  readonly #sources: DetailsSources
  readonly #agent: Agent
  readonly #ending = new AbortController()

  constructor(sources: DetailsSources) {
    this.#sources = sources
    const { idleTimeoutMs, ca } = sources.settings
    this.#agent = new Agent({ bodyTimeout: idleTimeoutMs, ...connectOptions(ca) })
  }

  /** @throws GeoError `SITE_UNREACHABLE`, `TLS_UNTRUSTED`, `INVALID_RESPONSE`, `STALE_EPOCH`, or what the other site answers */
  answerOf(site: Site): Answer {
    return async (call, input, { operator, abilities, ip }) => {
      const { sites, clock } = this.#sources
      sites.requireUnfenced()
      const { text, sha256 } = jsonText({ call, input })
      const scope = { details_sha256: sha256, authenticating_user_id: operator, authenticating_ip: ip, abilities }
      const { status, body } = await this.#post(site, text, await signAsMe(sites, scope, clock))
      if (status !== 200) throw refused(site, status, body)
      const parsed = RESULT_SHAPES[call].safeParse(jsonOf(body))
      if (parsed.success) return parsed.data as Result<typeof call>
      throw new GeoError('INVALID_RESPONSE', `The site "${site.name}" answered ${call} with something else`)
    }
  }

  async close(): Promise<void> {
    this.#ending.abort()
    await this.#agent.destroy()
  }

  async #post(site: Site, text: string, authorization: string): Promise<{ status: number; body: string }> {
    try {
      const answer = await request(`${site.internalUrl}${DETAILS_PATH.slice(1)}`, {
        method: 'POST',
        headers: { authorization, 'content-type': 'application/json', accept: 'application/json' },
        body: text,
        headersTimeout: FIRST_BYTE_TIMEOUT_MS,
        dispatcher: this.#agent,
        signal: AbortSignal.any([this.#ending.signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]),
      })
      return { status: answer.statusCode, body: await readUpTo(answer.body, site) }
    } catch (reason) {
      if (reason instanceof GeoError) throw reason
      const { code } = unreachable(reason)
      const known: ErrorCode = code === 'TLS_UNTRUSTED' ? code : 'SITE_UNREACHABLE'
      throw new GeoError(known, `The site "${site.name}" cannot be asked: ${messageOf(reason)}`, { cause: reason })
    }
  }
}

/** Leaving the loop cuts the connection. */
async function readUpTo(body: AsyncIterable<Buffer>, { name }: Site): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of body) {
    length += chunk.length
    if (length > LONGEST_ANSWER_BYTES)
      throw new GeoError('INVALID_RESPONSE', `The answer of the site "${name}" is too long`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** What it answers in our words is our error too; of a page of somebody's in between only its status is told. */
function refused({ name }: Site, status: number, body: string): GeoError {
  const said = errorShape.safeParse(jsonOf(body))
  if (said.success && isErrorCode(said.data.code)) {
    return new GeoError(said.data.code, said.data.message || `The site "${name}" answered ${said.data.code}`)
  }
  const code = status >= 500 ? 'SITE_UNREACHABLE' : 'INVALID_RESPONSE'
  return new GeoError(code, `The site "${name}" answered with the HTTP status ${status}`)
}

function jsonOf(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}
