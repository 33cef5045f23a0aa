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

function logOnceCommitted(
  trx: Knex.Transaction,
  logger: LoggerLike,
  fields: { readonly to: string },
  message: string,
): void {
  trx.executionPromise
    .then(() => (fields.to === 'failed' ? logger.warn(fields, message) : logger.debug(fields, message)))
    // After a rollback nothing has moved, and a logger that throws must not end the host's process.
    .catch(() => undefined)
}
