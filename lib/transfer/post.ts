import { type Asked, exchange } from './exchange.ts'
import { type Refusal, readRefusal, readShort, unreachable } from './refusal.ts'

export interface PostTask {
  readonly url: string
  readonly authorization: string
  /** JSON. */
  readonly body: string
  readonly timeoutMs: number
}

/** Runs in a thread, whose connections it shares: sends a few bytes to the primary. Returns why they were not taken, or null. */
export async function postJson({ url, authorization, body, timeoutMs }: PostTask): Promise<Refusal | null> {
  const asked: Asked = { method: 'POST', url, headers: { authorization, 'content-type': 'application/json' }, body }
  try {
    const line = { signal: AbortSignal.timeout(timeoutMs), live: true, spend: () => null }
    const answer = await exchange(asked, timeoutMs, line)
    if (answer.status >= 300) return await readRefusal(answer)
    await readShort(answer)
    return null
  } catch (reason) {
    return unreachable(reason)
  }
}
