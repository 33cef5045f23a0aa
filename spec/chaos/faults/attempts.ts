import { setTimeout as sleep } from 'node:timers/promises'
import { TYPE_NAMES, TYPES } from '../checks/scene.ts'
import { rowsOf } from '../databases.ts'
import type { RecordType } from '../history.ts'
import { nameOf } from '../ledger.ts'
import type { World } from '../world.ts'
import { type Retry, retried } from './retries.ts'

/** What is tried again: its transfer, or only the hashing of the copy that is there. */
export type Kind = 'transfer' | 'verification'

/** The beginning of an attempt of what waited for its time. */
export interface Attempt {
  /** As `retried` names the row. */
  readonly name: string
  readonly kind: Kind
  /** By how much it came after its time, by the clock of the tracking database; negative: before it. */
  readonly lateMs: number
}

const LOOK_EVERY_MS = 250
/** The clock of the database decides, and it notes what it has decided: only that clock itself might be set between the two. */
const EARLY_MS = 100

/** Has the tracking database itself keep each attempt, when it was due and when it began: no look from outside is as exact. */
const NOTE = `create table chaos_attempts (type text not null, id text not null, kind text not null, late_ms float8 not null,
    number bigserial);
  create function chaos_attempt() returns trigger language plpgsql as $$
    begin
      insert into chaos_attempts values (tg_argv[0], to_jsonb(new) ->> tg_argv[1], tg_argv[2], 1000 * extract(epoch from
        clock_timestamp() - case tg_argv[2] when 'transfer' then old.retry_at else old.verification_retry_at end));
      return null;
    end $$;
  ${eachTrigger((type, kind) => {
    const { registry, key } = TYPES[type]
    const [state, due] = kind === 'transfer' ? ['state', 'retry_at'] : ['verification_state', 'verification_retry_at']
    return `create trigger chaos_attempt_${kind} after update on ${registry} for each row
      when (old.${state} = 3 and new.${state} = 1 and old.${due} is not null)
      execute function chaos_attempt('${type}', '${key}', '${kind}')`
  })}`
const FORGET = `${eachTrigger((type, kind) => `drop trigger chaos_attempt_${kind} on ${TYPES[type].registry}`)};
  drop function chaos_attempt; drop table chaos_attempts`

function eachTrigger(statement: (type: RecordType, kind: Kind) => string): string {
  return TYPE_NAMES.flatMap((type) => [statement(type, 'transfer'), statement(type, 'verification')]).join(';\n')
}

export async function noteAttempts(world: World): Promise<void> {
  await everywhere(world, NOTE)
}

/** From now on only those that come after. */
export async function noteAnew(world: World): Promise<void> {
  await everywhere(world, 'truncate chaos_attempts')
}

export async function forgetAttempts(world: World): Promise<void> {
  await everywhere(world, FORGET)
}

async function everywhere({ databases }: World, statement: string): Promise<void> {
  for (const { tracking } of databases.secondaries) await rowsOf(tracking.url, statement)
}

export async function attemptsOf({ databases, secondaries }: World): Promise<Attempt[]> {
  const found: Attempt[] = []
  for (const [at, { tracking }] of databases.secondaries.entries()) {
    const rows = await rowsOf<{ type: RecordType; id: string; kind: Kind; lateMs: number }>(
      tracking.url,
      'select type, id, kind, late_ms as "lateMs" from chaos_attempts order by number',
    )
    for (const { type, id, ...attempt } of rows)
      found.push({ name: `${secondaries[at]?.name}: ${nameOf(type, id)}`, ...attempt })
  }
  return found
}

/** Those that came before their time, a sentence each. */
export function early(attempts: readonly Attempt[]): string[] {
  return attempts
    .filter(({ lateMs }) => lateMs < -EARLY_MS)
    .map(({ name, kind, lateMs }) => `the ${kind} of ${name} was tried ${Math.round(-lateMs)} ms too early`)
}

/** How late an attempt may be, of the time in which there was nothing to keep work from it. */
export interface Patience {
  readonly kind: Kind
  readonly lateMs: number
  readonly workedForMs: () => number
}

export interface Followed {
  readonly violations: readonly string[]
  /** How late the last of them was, of the time that counts. */
  readonly latestMs: number
}

/** Follows these rows until each was tried again, and says which was not, or so much after its time. */
export async function watchAttempts(world: World, names: Iterable<string>, patience: Patience): Promise<Followed> {
  const waiting = new Set(names)
  const violations: string[] = []
  let latestMs = 0
  while (waiting.size > 0) {
    // In this order: what waits no more by the first has been tried by the second.
    const now = await retried(world)
    const attempts = (await attemptsOf(world)).filter(({ kind }) => kind === patience.kind)
    const workedForMs = patience.workedForMs()
    for (const name of waiting) {
      const { lateMs, isOver } = stateOf(name, patience.kind, now, attempts)
      const countedMs = Math.min(lateMs, workedForMs)
      latestMs = Math.max(latestMs, countedMs)
      const isLate = countedMs > patience.lateMs
      if (isLate) violations.push(`the ${patience.kind} of ${name} is late by ${Math.round(countedMs)} ms`)
      if (isLate || isOver) waiting.delete(name)
    }
    await sleep(LOOK_EVERY_MS)
  }
  return { violations, latestMs }
}

/** By how much it is late, or was when it was tried first; over also where it waits no more for another reason. */
export function stateOf(
  name: string,
  kind: Kind,
  retries: ReadonlyMap<string, Retry>,
  attempts: readonly Attempt[],
): { lateMs: number; isOver: boolean } {
  const attempt = attempts.find((one) => one.name === name)
  if (attempt) return { lateMs: attempt.lateMs, isOver: true }
  const retry = retries.get(name)
  const dueInMs = (kind === 'transfer' ? retry?.dueInMs : retry?.hashDueInMs) ?? null
  return dueInMs === null ? { lateMs: Number.NEGATIVE_INFINITY, isOver: true } : { lateMs: -dueInMs, isOver: false }
}
