import { rowsOf } from '../databases.ts'
import type { World } from '../world.ts'

/** By itself a pass begins so long after the last one has begun. */
const EVERY_MS = 60_000

/** Has the tracking database itself keep when each pass began that has come to its end: the SDK keeps the last one. */
const NOTE = `create table chaos_passes (name text not null, began_at timestamptz not null, unique (name, began_at));
  create function chaos_pass() returns trigger language plpgsql as $$
    begin insert into chaos_passes values (new.replicable_name, new.began_at) on conflict do nothing; return null; end $$;
  create trigger chaos_pass after insert or update on geo_reconciliations for each row
    when (new.began_at is not null) execute function chaos_pass()`
const FORGET = 'drop trigger chaos_pass on geo_reconciliations; drop function chaos_pass; drop table chaos_passes'

export async function notePasses({ databases }: World): Promise<void> {
  for (const { tracking } of databases.secondaries) await rowsOf(tracking.url, NOTE)
}

export async function forgetPasses({ databases }: World): Promise<void> {
  for (const { tracking } of databases.secondaries) await rowsOf(tracking.url, FORGET)
}

/** Now, by the clock of each secondary's tracking database, as epoch in milliseconds. */
export async function momentsOf({ databases }: World): Promise<number[]> {
  return Promise.all(
    databases.secondaries.map(async ({ tracking }) => {
      const statement = 'select (extract(epoch from clock_timestamp()) * 1000)::float8 as now'
      const [row] = await rowsOf<{ now: number }>(tracking.url, statement)
      return row?.now ?? Number.NaN
    }),
  )
}

/** When the passes over each type began, of each secondary. */
export async function notedPasses({ databases }: World): Promise<Map<string, number[]>[]> {
  return Promise.all(
    databases.secondaries.map(async ({ tracking }) => {
      const statement =
        'select name, (extract(epoch from began_at) * 1000)::float8 as began from chaos_passes order by 2'
      const rows = await rowsOf<{ name: string; began: number }>(tracking.url, statement)
      const types = Map.groupBy(rows, ({ name }) => name)
      return new Map([...types].map(([name, some]) => [name, some.map(({ began }) => began)]))
    }),
  )
}

/**
 * How many passes may have begun between two moments. One that was broken off for another is not noted: where it was time for
 * one, there may have been one.
 */
export function passesBetween(beganMs: readonly number[], fromMs: number, toMs: number): number {
  const within = beganMs.filter((at) => at > fromMs && at < toMs)
  const last = beganMs.findLast((at) => at <= fromMs) ?? Number.NEGATIVE_INFINITY
  const marks = [last, ...within, toMs]
  const overdue = marks.slice(1).filter((at, before) => at - (marks[before] ?? at) >= EVERY_MS)
  return within.length + overdue.length
}

/** Of each type no more passes than were asked for. */
export function judgePasses(
  passes: ReadonlyMap<string, readonly number[]>,
  fromMs: number,
  toMs: number,
  asked: number,
): string[] {
  const counts = [...passes].map(([name, beganMs]) => ({ name, count: passesBetween(beganMs, fromMs, toMs) }))
  return counts
    .filter(({ count }) => count > asked)
    .map(({ name, count }) => `up to ${count} passes over ${name} had begun before it was looked at`)
}
