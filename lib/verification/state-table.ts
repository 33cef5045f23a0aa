import type { Knex } from 'knex'
import { alterLive, indexLive, indexNew, type LockPatience, quoteTable } from './live-table.ts'
import {
  checkedNames,
  FAILURE_LIMIT,
  failureLimitName,
  invalid,
  VERIFICATION_COLUMN_NAMES,
  VERIFICATION_COLUMNS,
  verificationIndexes,
} from './state-definition.ts'

/**
 * Where the primary keeps what it knows of its own bytes, created by hosts in their migrations of the main database: either a
 * table beside the host's (`verificationState: 'separate'`) or columns on it (`'columns'`). All of it can be run again after a
 * failure half-way, and none of it makes a busy host wait.
 */

export interface VerificationColumnsOptions extends LockPatience {
  /** The host's table, with its schema where it is not on the search path: `app.widgets`. */
  table: string
}

export interface VerificationStateTableOptions extends VerificationColumnsOptions {
  /** The type of the host's key. Default `bigint`. */
  keyType?: 'bigint' | 'uuid'
  /** The host's key column. Default `id`. */
  keyColumn?: string
  /** With its schema where it is not to be the first of the search path. Default `<name>_states`. */
  stateTable?: string
}

// Each row is written three times when it is hashed anew. One that stays on its page takes less WAL and fewer pages; after the
// first time the table is as large as one that was filled to the brim, and it grows less from then on.
const FILLED_PERCENT = 70

/**
 * Creates `widget_states` for `widget`: at most one row per row of the host's table, gone with it.
 * @throws ConfigurationError `INVALID_OPTIONS` for a name or key type that cannot be
 */
export async function createVerificationStateTable(
  knex: Knex,
  name: string,
  { table, keyType = 'bigint', keyColumn = 'id', stateTable: given, ...patience }: VerificationStateTableOptions,
): Promise<void> {
  const { stateTable, foreignKey } = checkedNames(name, { table, keyColumn, stateTable: given })
  if (keyType !== 'bigint' && keyType !== 'uuid') throw invalid(`keyType of ${name} must be "bigint" or "uuid"`)
  // The foreign key puts triggers on the host's table, so that one is locked for a moment.
  const create = async (trx: Knex.Transaction): Promise<void> => {
    await trx.raw(
      `create table if not exists ?? (
        ?? ${keyType} primary key references ?? (??) on delete cascade,
        ${VERIFICATION_COLUMNS.join(',\n        ')},
        constraint ?? ${FAILURE_LIMIT}
      ) with (fillfactor = ${FILLED_PERCENT})`,
      [stateTable, foreignKey, table, keyColumn, failureLimitName(name)],
    )
    await indexNew(trx, stateTable, verificationIndexes(stateTable))
  }
  await alterLive(knex, table, create, patience)
}

/** Drops what `createVerificationStateTable` created, given the same `stateTable`. */
export async function dropVerificationStateTable(
  knex: Knex,
  name: string,
  { stateTable: given, ...patience }: LockPatience & { stateTable?: string } = {},
): Promise<void> {
  const { stateTable } = checkedNames(name, { stateTable: given })
  // Takes the triggers of its foreign key off the host's table.
  const drop = (trx: Knex.Transaction): Promise<void> => trx.raw('drop table if exists ??', [stateTable])
  await alterLive(knex, stateTable, drop, patience)
}

/**
 * Adds the columns to a table that is in use. Its migration must say `export const config = { transaction: false }`, for the
 * indexes are built concurrently.
 * @throws ConfigurationError `INVALID_OPTIONS` within a transaction, for a name that cannot be, or where the table has columns
 *   of these names that are the host's own or another type's
 */
export async function addVerificationColumns(
  knex: Knex,
  name: string,
  { table, ...patience }: VerificationColumnsOptions,
): Promise<void> {
  checkedNames(name, { table })
  if (knex.isTransaction) {
    throw invalid(
      `addVerificationColumns for ${name} builds indexes concurrently, which no transaction can: ` +
        'write `export const config = { transaction: false }` in its migration',
    )
  }
  const limit = failureLimitName(name)
  const alter = (change: string, bindings: readonly string[] = []): Promise<void> =>
    alterLive(knex, table, (trx) => trx.raw(`alter table ?? ${change}`, [table, ...bindings]), patience)

  await requireColumnsFree(knex, table, limit)
  // Nulls and a constant default: no row is rewritten, so the lock is held for a moment.
  await alter(VERIFICATION_COLUMNS.map((column) => `add column if not exists ${column}`).join(', '))
  const state = await constraintState(knex, table, limit)
  if (state === 'missing') await alter(`add constraint ?? ${FAILURE_LIMIT} not valid`, [limit])
  // Reads the whole table, under a lock that lets the host read and write.
  if (state !== 'valid') await alter('validate constraint ??', [limit])
  await indexLive(knex, table, verificationIndexes(table))
}

/** Drops what `addVerificationColumns` added; its indexes and its constraint go with the columns. */
export async function dropVerificationColumns(
  knex: Knex,
  name: string,
  { table, ...patience }: VerificationColumnsOptions,
): Promise<void> {
  checkedNames(name, { table })
  const drops = VERIFICATION_COLUMN_NAMES.map((column) => `drop column if exists ${column}`)
  await alterLive(knex, table, (trx) => trx.raw(`alter table ?? ${drops.join(', ')}`, [table]), patience)
}

/**
 * All seven columns come in one statement, so a table with only some of them has its own: sharing those would overwrite them
 * and later drop them. A text limit under another name says that another type keeps its state here.
 */
async function requireColumnsFree(knex: Knex, table: string, limit: string): Promise<void> {
  const { rows } = await knex.raw<{ rows: { columns: string[]; limits: string[] }[] }>(
    `select array(select attname::text from pg_attribute
       where attrelid = ?::regclass and not attisdropped and attname = any(?)) as columns,
     array(select conname::text from pg_constraint
       where conrelid = ?::regclass and contype = 'c' and conname like '%\\_verification\\_failure\\_text\\_limit' and conname <> ?
     ) as limits`,
    [quoteTable(table), [...VERIFICATION_COLUMN_NAMES], quoteTable(table), limit],
  )
  const { columns = [], limits = [] } = rows[0] ?? {}
  if (limits.length > 0)
    throw invalid(`${table} holds the verification state of another type (${limits[0]}); use a separate table`)
  if (columns.length > 0 && columns.length < VERIFICATION_COLUMNS.length) {
    throw invalid(`${table} has columns of its own named ${columns.join(', ')}; use a separate table`)
  }
}

async function constraintState(knex: Knex, table: string, name: string): Promise<'missing' | 'not valid' | 'valid'> {
  const { rows } = await knex.raw<{ rows: { valid: boolean }[] }>(
    'select convalidated as valid from pg_constraint where conrelid = ?::regclass and conname = ?',
    [quoteTable(table), name],
  )
  const found = rows[0]
  if (!found) return 'missing'
  return found.valid ? 'valid' : 'not valid'
}
