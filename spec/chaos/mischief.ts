import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { Seeded, seededBytes } from './seeded.ts'

/** What may be done to an answer. */
export const TRICKS = Object.freeze({
  cut: 'the connection ends after a random part of the body',
  reset: 'the connection is broken with RST after a random part of the body',
  truncated: 'the body ends early and in good order',
  tooLong: 'more comes than was announced',
  flipped: 'one byte of the body is another one',
  drip: 'the body comes in small pieces with rests between',
  wrongLength: 'the head announces another length, or none',
  wrongType: 'the head says that it is a page',
  busy: '429 with Retry-After',
  broken: '500',
  redirectLoop: '302 to itself',
})
export type Trick = keyof typeof TRICKS

/** A request for one blob by itself, or for many small ones. */
export type Shape = 'one' | 'many'

export function shapeOf({ method }: Pick<IncomingMessage, 'method'>): Shape {
  return method === 'POST' ? 'many' : 'one'
}

export interface MischiefPlan {
  readonly seed: string
  /** To requests of this shape alone; to all of them where it is not given. */
  readonly only?: Shape
  readonly tricks: readonly Trick[]
  /** How many out of a thousand transfers. */
  readonly perThousand: number
  /** So many and no more. */
  readonly most: number
}

type Ask = (incoming: IncomingMessage, body: Buffer) => Promise<IncomingMessage | null>

/** Such as come with no answer of the primary. */
const WITHOUT_ASKING: readonly Trick[] = ['busy', 'broken', 'redirectLoop']
/** Such as leave a part of the body. */
const PARTS: readonly Trick[] = ['cut', 'reset', 'truncated']
const DRIPS = 20
const DRIP_REST_MS = 100
const LONGEST_EXTRA = 1000
const LENGTH = 'geo-blob-bytes'

/** Does to some answers what the plan says. */
export class Mischief {
  readonly #plan: MischiefPlan
  readonly #chance: Seeded
  readonly #played: (trick: Trick) => void
  #count = 0

  constructor(plan: MischiefPlan, played: (trick: Trick) => void) {
    this.#plan = plan
    this.#chance = new Seeded(plan.seed)
    this.#played = played
  }

  /** True: it has been answered. */
  async play(incoming: IncomingMessage, body: Buffer, answer: ServerResponse, ask: Ask): Promise<boolean> {
    const { most, only, perThousand, tricks } = this.#plan
    if (only && only !== shapeOf(incoming)) return false
    // Whoever follows a redirect comes without a token, and is led on however often that was done.
    if (tricks.includes('redirectLoop') && incoming.headers.authorization === undefined) return led(incoming, answer)
    if (this.#count >= most || this.#chance.below(1000) >= perThousand) return false
    const trick = this.#chance.of(tricks)
    // Where something goes on, the range says how long the whole is.
    if (trick === 'wrongLength' && incoming.headers.range !== undefined) return false
    this.#count += 1
    const nth = this.#count
    if (WITHOUT_ASKING.includes(trick)) this.#played(trick)
    if (trick === 'busy') return end(answer, 429, { 'retry-after': '1' }, 'Later')
    if (trick === 'broken') return end(answer, 500, {}, 'Something went wrong')
    if (trick === 'redirectLoop') return led(incoming, answer)
    const response = await ask(incoming, body)
    if (!response) {
      this.#count -= 1
      return end(answer, 502, {}, 'No process of the primary answers')
    }
    const whole = await buffer(response)
    // Of a byte there is no part: of what is cut again and again one is left in the end, and nothing would come three times.
    if (PARTS.includes(trick) && whole.length < 2) {
      this.#count -= 1
      return end(answer, response.statusCode ?? 502, response.headers, whole)
    }
    this.#played(trick)
    await this.#spoil({ trick, nth }, response, whole, answer)
    return true
  }

  async #spoil(
    { trick, nth }: { trick: Trick; nth: number },
    { statusCode = 502, headers }: IncomingMessage,
    body: Buffer,
    answer: ServerResponse,
  ): Promise<void> {
    // Without a length of its own the body ends where its last chunk does, whatever was announced.
    const { 'content-length': _, ...open } = headers
    const part = body.subarray(0, 1 + this.#chance.below(Math.max(1, body.length - 1)))
    if (trick === 'cut' || trick === 'reset') {
      answer.writeHead(statusCode, headers)
      await new Promise((resolve) => answer.write(part, resolve))
      const { socket } = answer
      if (trick === 'reset') socket?.resetAndDestroy()
      else socket?.destroySoon()
      return
    }
    if (trick === 'drip') {
      answer.writeHead(statusCode, headers)
      const piece = Math.max(1, Math.ceil(body.length / DRIPS))
      for (let at = 0; at < body.length; at += piece) {
        answer.write(body.subarray(at, at + piece))
        await sleep(DRIP_REST_MS)
      }
      answer.end()
      return
    }
    if (trick === 'truncated') end(answer, statusCode, open, part)
    if (trick === 'tooLong') {
      const more = seededBytes(String(this.#chance.next()), 1 + this.#chance.below(LONGEST_EXTRA))
      end(answer, statusCode, open, Buffer.concat([body, more]))
    }
    if (trick === 'flipped') {
      const at = this.#chance.below(body.length)
      body[at] = (body[at] ?? 0) ^ (1 << this.#chance.below(8))
      end(answer, statusCode, headers, body)
    }
    if (trick === 'wrongType')
      end(answer, statusCode, { ...headers, 'content-type': 'text/html', [LENGTH]: undefined }, body)
    if (trick === 'wrongLength') {
      // Of two of them each comes once, however many are under way at once.
      const announced = Number(headers[LENGTH] ?? body.length) + (nth % 2 === 0 ? -1 : 1)
      end(answer, statusCode, { ...open, [LENGTH]: String(announced) }, body)
    }
  }
}

function led({ url }: IncomingMessage, answer: ServerResponse): true {
  return end(answer, 302, { location: url }, '')
}

function end(answer: ServerResponse, status: number, headers: OutgoingHttpHeaders, body: Buffer | string): true {
  const known = Object.entries(headers).filter(([, value]) => value !== undefined)
  answer.writeHead(status, Object.fromEntries(known)).end(body)
  return true
}
