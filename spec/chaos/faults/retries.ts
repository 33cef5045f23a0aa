import { SYNCED, TYPE_NAMES, TYPES, VERIFIED } from '../checks/scene.ts'
import { rowsOf } from '../databases.ts'
import { nameOf } from '../ledger.ts'
import type { World } from '../world.ts'

const FAILED = 3

export interface Retry {
  /** The record by its name, the same on all sites. */
  readonly record: string
  /** What is counted, and why. */
  readonly text: string
  /** Milliseconds until it is due, by the clock of the tracking database; null where it is not waited for. */
  readonly dueInMs: number | null
  /** The same until its copy is hashed again. */
  readonly hashDueInMs: number | null
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
           (extract(epoch from verification_retry_at - clock_timestamp()) * 1000)::float8 as "hashDueInMs",
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
  return [...now]
    .filter(([name, retry]) => !before.has(name) && world.ledger.liveOf(retry.record) && !isKeyChange(retry))
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

/** Has verified copies wait to be hashed again, as a process leaves them that dies while it does that; so many of each secondary. */
export async function failVerifications(
  { databases, secondaries }: World,
  count: number,
  dueInS: number,
): Promise<string[]> {
  const names: string[] = []
  for (const [at, { tracking }] of databases.secondaries.entries()) {
    for (const type of TYPE_NAMES) {
      const { registry, key } = TYPES[type]
      const rows = await rowsOf<{ id: string }>(
        tracking.url,
        `update ${registry} set verification_state = ${FAILED}, verification_retry_count = 1,
           verification_failure = 'The process that hashed this blob stopped answering',
           verification_retry_at = clock_timestamp() + ${dueInS} * interval '1 second'
         where id in (select id from ${registry} where state = ${SYNCED} and verification_state = ${VERIFIED}
           and removal_requested_at is null order by verified_at limit ${Math.ceil(count / TYPE_NAMES.length)} for update)
         returning ${key}::text as id`,
      )
      names.push(...rows.map(({ id }) => `${secondaries[at]?.name}: ${nameOf(type, id)}`))
    }
  }
  return names
}
