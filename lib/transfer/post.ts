import { type Asked, exchange } from './exchange.ts'
import { type Refusal, readRefusal, readShort, unreachable } from './refusal.ts'

export interface PostTask {
  /** Default POST. */
  readonly method?: 'POST' | 'PUT'
  readonly url: string
  readonly authorization: string
  /** JSON. */
  readonly body: string
  readonly timeoutMs: number
  /** An answer that is longer is cut. Default 16 KiB. */
  readonly longestAnswerBytes?: number
}

/** Why it was not taken, or what was answered. */
export type Posted = { readonly refusal: Refusal } | { readonly refusal: null; readonly answer: string }

/** Runs in a thread, whose connections it shares: sends a few bytes to the primary. */
export async function postJson(task: PostTask): Promise<Posted> {
  const { method = 'POST', url, authorization, body, timeoutMs, longestAnswerBytes } = task
  const asked: Asked = { method, url, headers: { authorization, 'content-type': 'application/json' }, body }
  try {
    const line = { signal: AbortSignal.timeout(timeoutMs), live: true, spend: () => null }
    const answer = await exchange(asked, timeoutMs, line)
    if (answer.status >= 300) return { refusal: await readRefusal(answer) }
    return { refusal: null, answer: await readShort(answer, longestAnswerBytes) }
  } catch (reason) {
    return { refusal: unreachable(reason) }
  }
}
