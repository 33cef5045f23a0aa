import type { Knex } from 'knex'
import type { SelectiveSync } from '../blob/selective-sync.ts'
import { run } from '../databases.ts'

/** The door to geo_reconciliations: which passes over the registries have ended, and which are owed. Moments are the database's. */

export interface TypeReconciliation {
  readonly name: string
  /** A pass that begins after this moment is owed; null where none is. Sorts as text. */
  readonly askedAt: string | null
  /** Such a pass begins at once, and those of all other types anew; otherwise when it is time. */
  readonly atOnce: boolean
  /** The last whole pass; null where there was none that counts. */
  readonly endedAt: string | null
  /** By what selection it was made. */
  readonly selection: SelectiveSync | null
}

const momentOf = (column: string) => `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')`

/** What is known of each type, and the moment now. */
export async function loadReconciliations(
  db: Knex,
): Promise<{ now: string; types: ReadonlyMap<string, TypeReconciliation> }> {
  const { rows } = await run<{ rows: (Omit<TypeReconciliation, 'name'> & { now: string; name: string | null })[] }>(
    db,
    `select ${momentOf('clock_timestamp()')} as now, replicable_name as name, ${momentOf('asked_at')} as "askedAt",
       asked_because is distinct from 'SCOPE_FAILED' as "atOnce",
       ${momentOf('ended_at')} as "endedAt", selection
     from (select) as one left join geo_reconciliations on true`,
  )
  const types = rows.flatMap(({ now: _, name, ...row }) => (name === null ? [] : [[name, { name, ...row }] as const]))
  return { now: rows[0]?.now ?? '', types: new Map(types) }
}

/** A whole pass over these types is owed: what came before this moment may have been missed. Earlier passes count no more. */
export async function askReconciliation(
  db: Knex,
  replicableNames: readonly string[],
  because: 'ANOTHER_TIMELINE' | 'CURSOR_PRUNED' | null,
): Promise<void> {
  await run(
    db,
    `insert into geo_reconciliations (replicable_name, asked_at, asked_because)
     select name, clock_timestamp(), ? from unnest(?::text[]) as n(name)
     on conflict (replicable_name) do update set asked_at = excluded.asked_at, asked_because = excluded.asked_because,
       selection = null, began_at = null, ended_at = null`,
    [because, replicableNames],
  )
}

/**
 * A pass over a type that begins after this moment is owed, when it is time for one: nothing more can be told now. One that is
 * owed for another reason stays as it is. True: there was none.
 */
export async function oweReconciliation(db: Knex, name: string, because: 'SCOPE_FAILED'): Promise<boolean> {
  const { rows } = await run<{ rows: { owed: boolean }[] }>(
    db,
    `with before as materialized (
       select from geo_reconciliations where replicable_name = ? and asked_at is not null
     ), owed as (
       insert into geo_reconciliations as g (replicable_name, asked_at, asked_because) values (?, clock_timestamp(), ?)
       on conflict (replicable_name) do update set asked_at = excluded.asked_at, asked_because = excluded.asked_because,
         selection = null, began_at = null, ended_at = null
       where g.asked_at is null or g.asked_because = excluded.asked_because
     )
     select exists (select from before) as owed`,
    [name, name, because],
  )
  return rows[0]?.owed !== true
}

/** A whole pass over a type has ended; one that was asked for before it began is thereby done. */
export async function endReconciliation(
  db: Knex,
  name: string,
  { beganAt, selection }: { beganAt: string; selection: SelectiveSync | null },
): Promise<void> {
  await run(
    db,
    `insert into geo_reconciliations as g (replicable_name, selection, began_at, ended_at)
     values (?, ?::jsonb, ?::timestamp at time zone 'UTC', clock_timestamp())
     on conflict (replicable_name) do update set selection = excluded.selection, began_at = excluded.began_at,
       ended_at = excluded.ended_at,
       asked_at = case when g.asked_at > excluded.began_at then g.asked_at end,
       asked_because = case when g.asked_at > excluded.began_at then g.asked_because end`,
    [name, selection && JSON.stringify(selection), beganAt],
  )
}

/** Forgets the types that are not enabled: when one is again, nothing is known of what it missed. */
export async function forgetReconciliations(db: Knex, exceptNames: readonly string[]): Promise<void> {
  await run(db, 'delete from geo_reconciliations where replicable_name <> all(?::text[])', [exceptNames])
}

/** The types that wait for a pass that was asked for because of this. */
export async function typesOwed(db: Knex, because: string): Promise<string[]> {
  const { rows } = await run<{ rows: { name: string }[] }>(
    db,
    'select replicable_name as name from geo_reconciliations where asked_because = ? order by 1',
    [because],
  )
  return rows.map((row) => row.name)
}
