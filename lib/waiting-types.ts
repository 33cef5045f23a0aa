import type { Knex } from 'knex'
import type { Replicable } from './blob/replicable.ts'
import { run } from './databases.ts'

/** A range of an index of a table of work, and the order in which its rows are taken: that of the index. */
export interface DueRange {
  readonly condition: string
  readonly order: string
}

/** A range in which something may wait. */
export interface LookedAt extends DueRange {
  /** Whether its first row is due, and with that any. Default: it is. */
  readonly due?: string
}

/**
 * Which of the types have work in one of the ranges of their table. One statement however many types there are. The first row of
 * each range is asked for, not whether there is one: where its statistics are old, the planner would expect to come upon one soon
 * wherever it begins, and read the whole table where there is none.
 */
export async function waitingTypes(
  db: Knex,
  replicables: readonly Replicable[],
  tableOf: (replicable: Replicable) => string,
  ranges: readonly LookedAt[],
): Promise<Replicable[]> {
  if (replicables.length === 0) return []
  const first = ranges.map(firstIsDue)
  const { rows } = await run<{ rows: { position: number }[] }>(
    db,
    replicables.map((_, position) => `select ${position} as position where ${first.join(' or ')}`).join(' union all '),
    replicables.flatMap((replicable) => ranges.map(() => tableOf(replicable))),
  )
  return rows.flatMap((row) => replicables[row.position] ?? [])
}

/** Whether anything in one range of a table is due. */
export async function anyWaits(db: Knex, table: string, range: LookedAt): Promise<boolean> {
  const { rows } = await run<{ rows: { waits: boolean | null }[] }>(db, `select ${firstIsDue(range)} as waits`, [table])
  return rows[0]?.waits ?? false
}

function firstIsDue({ condition, order, due = 'true' }: LookedAt): string {
  return `(select ${due} from ?? where ${condition} order by ${order} limit 1)`
}
