import type { Knex } from 'knex'
import type { Replicable } from './blob/replicable.ts'
import type { LoggerLike } from './log.ts'
import type { SyncState } from './registry/sync-state.ts'
import type { VerificationState } from './verification/verification-state.ts'

/** A registry row whose state a statement changed. */
export interface MovedRow {
  readonly id: string
  readonly registryId: string | null
}

/** Rows that a statement changed, their keys as the literal `{1,2,3}` of the database, which is never parsed here. */
export interface MovedLiteral {
  readonly count: number
  readonly literal: string
}

/** How rows were moved: by which function, from which state to which. */
export interface Move<State> {
  readonly method: string
  readonly from: State
  readonly to: State
}

/** One line for all registry rows whose sync state a transaction changes alike, once it has committed. */
export function logSyncMove(
  trx: Knex.Transaction,
  logger: LoggerLike,
  { names }: Replicable,
  { method, from, to }: Move<SyncState>,
  rows: readonly MovedRow[],
): void {
  const fields = {
    class: `${names.className}Registry`,
    count: rows.length,
    method,
    registry_id: rows.map((row) => row.registryId).join(','),
    model_record_id: rows.map((row) => row.id).join(','),
    from,
    to,
    result: true,
  }
  if (rows.length > 0) logOnceCommitted(trx, logger, fields, 'Batch sync state transition')
}

/** The same for rows that are known by a literal. Without a transaction the statement was one by itself. */
export function logSyncMoved(
  trx: Knex.Transaction | null,
  logger: LoggerLike,
  { names }: Replicable,
  { method, from, to }: Move<SyncState>,
  { count, literal }: MovedLiteral,
): void {
  const cls = `${names.className}Registry`
  const fields = { class: cls, count, method, model_record_id: shortened(literal), from, to, result: true }
  if (count > 0) logOnceCommitted(trx, logger, fields, 'Batch sync state transition')
}

/** One line for all records of a table whose verification state a transaction changes alike, once it has committed. */
export function logVerificationMove(
  trx: Knex.Transaction,
  logger: LoggerLike,
  table: string,
  { method, from, to }: Move<VerificationState>,
  ids: readonly string[],
): void {
  const fields = { table, count: ids.length, method, from, to, ids: ids.join(',') }
  if (ids.length > 0) logOnceCommitted(trx, logger, fields, 'Batch verification state transition')
}

/** The same for records that are known by a literal, which a statement by itself has changed. */
export function logVerificationMoved(
  logger: LoggerLike,
  table: string,
  { method, from, to }: Move<VerificationState>,
  { count, literal }: MovedLiteral,
): void {
  const fields = { table, count, method, from, to, ids: shortened(literal) }
  if (count > 0) logOnceCommitted(null, logger, fields, 'Batch verification state transition')
}

const LONGEST_IDS = 16_384

/** The keys of a literal as the other lines have them, as many as fit. No key of ours has a character that is quoted in it. */
function shortened(literal: string): string {
  const keys = literal.slice(1, -1)
  if (keys.length <= LONGEST_IDS) return keys
  return `${keys.slice(0, keys.lastIndexOf(',', LONGEST_IDS - 2))},…`
}

const DONE = Promise.resolve()

function logOnceCommitted(
  trx: Knex.Transaction | null,
  logger: LoggerLike,
  fields: { readonly to: string },
  message: string,
): void {
  const committed: Promise<unknown> = trx?.executionPromise ?? DONE
  committed
    .then(() => (fields.to === 'failed' ? logger.warn(fields, message) : logger.debug(fields, message)))
    // After a rollback nothing has moved, and a logger that throws must not end the host's process.
    .catch(() => undefined)
}
