import { setTimeout as sleep } from 'node:timers/promises'

const POLL_MS = 10

/** Resolves as soon as the condition holds; fails, with what was waited for, where it does not in time. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 30_000,
  what: string | (() => string | Promise<string>) = () => String(condition),
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await condition())) {
    if (performance.now() > deadline) {
      throw new Error(`Waited ${timeoutMs} ms in vain for ${typeof what === 'string' ? what : await what()}.`)
    }
    await sleep(POLL_MS)
  }
}
