import type { Knex } from 'knex'
import { requireTables } from '../databases.ts'
import { alterLive, type LockPatience, quoteTable } from '../verification/live-table.ts'
import { checkedNames, invalid } from '../verification/state-definition.ts'
import { type TriggeredTable, triggerFunction } from './trigger-function.ts'

/**
 * Triggers that tell of what is written to a host's table, for writes that do not come through the host: raw SQL, other
 * programs. They write the same events, in the same transaction, that calls of `geo.replicator` write; where the host calls too,
 * nothing is told twice.
 */

export interface EventTriggerOptions extends LockPatience {
  /** The host's table, with its schema where it is not on the search path: `app.widgets`. */
  table: string
  /** The host's key column. Default `id`. */
  keyColumn?: string
  /**
   * The columns that say which file a row has: what `blob` and `available` of the declaration read. An update of any other
   * column tells nothing.
   */
  columns: readonly string[]
  /**
   * The one of them that is the key of the file as it stands: a row in which it is null is not told of until it gets one. Left
   * out: the key is made of several columns, and no event of a deleted row says where its file lay.
   */
  blobColumn?: string
  /** As in the declaration. */
  verificationState: 'separate' | 'columns'
  /** As in the declaration. Default `<name>_states`. */
  stateTable?: string
}

export const CHANGES = Object.freeze(['created', 'updated', 'deleted'] as const)
type Change = (typeof CHANGES)[number]

/**
 * Creates the triggers `geo_<name>_created`, `_updated` and `_deleted` on the host's table, and their function beside the event
 * log; replaces those that are there. The function runs with the rights of who creates it, so that programs which write the
 * table need none on ours. `truncate` tells nothing: a pass finds what it removed.
 * @throws ConfigurationError `INVALID_OPTIONS`, `UNKNOWN_TABLE`
 * @throws GeoError `TABLE_BUSY`
 */
export async function createEventTriggers(knex: Knex, name: string, options: EventTriggerOptions): Promise<void> {
  const { table, keyColumn = 'id', columns, blobColumn, verificationState, stateTable, ...patience } = options
  const names = checkedNames(name, { table, keyColumn, stateTable })
  const blobColumns = columns.map((column) => checkedColumn(name, column))
  if (blobColumns.length === 0) throw invalid(`columns of ${name} must name what \`blob\` reads`)
  if (blobColumn !== undefined && !blobColumns.includes(blobColumn)) {
    throw invalid(`blobColumn of ${name} must be among its columns`)
  }
  const separate = verificationState === 'separate'
  if (!separate && verificationState !== 'columns') {
    throw invalid(`verificationState of ${name} must be "separate" or "columns"`)
  }
  const states = separate ? names.stateTable : table
  await requireTables(knex, 'main', [quoteTable(table), quoteTable(states), 'geo_events', 'geo_switches'])
  const written: TriggeredTable = {
    name,
    table,
    keyColumn,
    blobColumn: blobColumn ?? null,
    state: { separate, table: states, key: separate ? names.foreignKey : keyColumn },
  }
  const firing = firingOf({ keyColumn, columns: blobColumns, blobColumn })
  await alterLive(
    knex,
    table,
    async (trx) => {
      const called = await functionName(trx, name)
      await trx.raw(await triggerFunction(trx, called, written))
      for (const change of CHANGES) {
        await trx.raw(`create or replace trigger ?? ${firing[change]} execute function ${called}()`, [
          triggerName(name, change),
          table,
        ])
      }
    },
    patience,
  )
}

function firingOf({
  keyColumn,
  columns,
  blobColumn,
}: {
  keyColumn: string
  columns: readonly string[]
  blobColumn: string | undefined
}): Record<Change, string> {
  // As text, for there are types that nothing compares.
  const differs = (column: string) => `old."${column}"::text is distinct from new."${column}"::text`
  return {
    created: `after insert on ?? for each row ${blobColumn === undefined ? '' : `when (new."${blobColumn}" is not null)`}`,
    // Not `update of`, which goes by the statement and misses what a trigger of the host changes. While this is false nothing is
    // called: not for our checksums either.
    updated: `after update on ?? for each row when (${[keyColumn, ...columns].map(differs).join(' or ')})`,
    deleted: 'after delete on ?? for each row',
  }
}

/** Drops what `createEventTriggers` created. */
export async function dropEventTriggers(
  knex: Knex,
  name: string,
  { table, ...patience }: LockPatience & { table: string },
): Promise<void> {
  checkedNames(name, { table })
  await alterLive(
    knex,
    table,
    async (trx) => {
      for (const change of CHANGES) await trx.raw('drop trigger if exists ?? on ??', [triggerName(name, change), table])
      await trx.raw(`drop function if exists ${await functionName(trx, name)}()`)
    },
    patience,
  )
}

export function triggerName(name: string, change: Change): string {
  return `geo_${name}_${change}`
}

/** In the schema of the event log, wherever the search path of this migration leads. */
async function functionName(knex: Knex, name: string): Promise<string> {
  const { rows } = await knex.raw<{ rows: { name: string }[] }>(
    `select format('%I.%I', n.nspname, ?::text) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.oid = to_regclass('geo_events')`,
    [`geo_tell_of_${name}`],
  )
  const [found] = rows
  if (!found) throw invalid('There is no geo_events: run the migrations of the SDK first')
  return found.name
}

function checkedColumn(name: string, column: string): string {
  checkedNames(name, { keyColumn: column })
  return column
}
