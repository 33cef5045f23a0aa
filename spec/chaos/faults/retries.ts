import { setTimeout as sleep } from 'node:timers/promises'
import { TYPE_NAMES, TYPES } from '../checks/scene.ts'
import { rowsOf } from '../databases.ts'
import { nameOf } from '../ledger.ts'
import type { World } from '../world.ts'

const LOOK_EVERY_MS = 500

export interface Retry {
  /** The record by its name, the same on all sites. */
  readonly record: string
  /** What is counted, and why. */
  readonly text: string
  /** Milliseconds until it is due, by the clock of the tracking database; null where it is not waited for. */
  readonly dueInMs: number | null
}

/** Rows of all secondaries that count a retry of any kind, by their names. */
export async function retried({ databases, secondaries }: World): Promise<Map<string, Retry>> {
  const found = new Map<string, Retry>()
  for (const [at, { tracking }] of databases.secondaries.entries()) {
    for (const type of TYPE_NAMES) {
      const { registry, key } = TYPES[type]
      const rows = await rowsOf<Omit<Retry, 'record'> & { id: string }>(
        tracking.url,
        `select ${key}::text as id, (extract(epoch from retry_at - clock_timestamp()) * 1000)::float8 as "dueInMs",
           concat_ws(': ', greatest(retry_count, verification_retry_count), error_code, coalesce(last_sync_failure, verification_failure)) as text
         from ${registry} where retry_count > 0 or verification_retry_count > 0`,
      )
      for (const { id, ...retry } of rows) {
        const record = nameOf(type, id)
        found.set(`${secondaries[at]?.name}: ${record}`, { record, ...retry })
      }
    }
  }
  return found
}

/** Whether it was asked for under the key of a file that the host has replaced, of which the replica had not heard. */
export function isKeyChange({ text }: { readonly text: string }): boolean {
  return text.includes('KEY_CHANGED')
}

/**
 * What counts a retry now and did not before, a sentence each. Not what the host has deleted: a row is asked for until its secondary
 * has heard of that, and the primary has it no more. Nor what it has given another file, of which the replica has not heard.
 */
export async function newlyRetried(world: World, before: ReadonlyMap<string, Retry>): Promise<string[]> {
  const now = await retried(world)
  const live = new Set(world.ledger.live().map(({ type, id }) => nameOf(type, id)))
  return [...now]
    .filter(([name, retry]) => !before.has(name) && live.has(retry.record) && !isKeyChange(retry))
    .map(([name, { text }]) => `${name} counts a retry: ${text}`)
}

/** What waits for another attempt for longer than so many seconds gets it then. */
export async function hasten({ databases }: World, seconds: number): Promise<void> {
  const moment = `clock_timestamp() + ${seconds} * interval '1 second'`
  for (const { tracking } of databases.secondaries) {
    for (const type of TYPE_NAMES) {
      const { registry } = TYPES[type]
      await rowsOf(tracking.url, `update ${registry} set retry_at = ${moment} where retry_at > ${moment}`)
    }
  }
}

/** How late an attempt may be, of the time in which there was nothing to keep work from it. */
export interface Patience {
  readonly lateMs: number
  readonly workedForMs: () => number
}

/** Follows these rows until each was tried again, and says which came before its time or so much after it. */
export async function watchRetries(
  world: World,
  names: Iterable<string>,
  { lateMs, workedForMs }: Patience,
): Promise<string[]> {
  const waiting = new Set(names)
  const due = new Map<string, number>()
  const violations: string[] = []
  while (waiting.size > 0) {
    const now = await retried(world)
    for (const name of waiting) {
      const before = due.get(name)
      const dueInMs = now.get(name)?.dueInMs ?? null
      if (dueInMs !== null && Math.min(-dueInMs, workedForMs()) > lateMs) {
        violations.push(`${name} is not tried again ${Math.round(-dueInMs)} ms after its time`)
        waiting.delete(name)
      } else if (dueInMs === null || (before !== undefined && dueInMs > before + 2 * LOOK_EVERY_MS)) {
        // It was tried since the last look, which is no longer ago than the next one would be.
        if (before !== undefined && before > EARLY_MS)
          violations.push(`${name} was tried ${Math.round(before)} ms too early`)
        waiting.delete(name)
      } else due.set(name, dueInMs)
    }
    await sleep(LOOK_EVERY_MS)
  }
  return violations
}

/** A look may take its time on a machine under load; clocks that are wrong are so by half a minute and more. */
const EARLY_MS = 5000
