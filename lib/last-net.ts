import type { Knex } from 'knex'
import { stateTableOf } from './blob/primary-checksum.ts'
import type { Replicable } from './blob/replicable.ts'
import { backoffSeconds, type Clock } from './clock.ts'
import { bounded } from './databases.ts'
import { forEveryType } from './every-type.ts'
import type { LoggerLike } from './log.ts'
import { failTimedOutSyncs, failTimedOutVerifications } from './registry/timeouts.ts'
import { logSyncMove, logVerificationMove } from './transition-log.ts'
import { failTimedOutRecords, type TimedOut } from './verification/timed-out.ts'

const ROWS_AT_ONCE = 1000

const LOST = Object.freeze({ method: 'sweepTimedOut', from: 'started', to: 'failed' } as const)
const SYNC_OF_LOST = Object.freeze({ ...LOST, from: 'synced' } as const)

/** What kind of work is looked for. A verification that is lost fails the sync of its copy with it. */
export type Net = 'sync' | 'verification' | 'hashing'

/**
 * One batch of each type of what was started longer ago than `timeoutMs` and belongs to no lease: leases see to all that they
 * know of within seconds. True: there may be more.
 */
export async function sweepTimedOut(
  db: Knex,
  net: Net,
  replicables: readonly Replicable[],
  timeoutMs: number,
  context: { readonly clock: Clock; readonly logger: LoggerLike },
): Promise<boolean> {
  let more = false
  await forEveryType(replicables, async (replicable) => {
    const retryInSeconds = backoffSeconds(1, () => context.clock.random())
    const timedOut: TimedOut = { timeoutMs, retryInSeconds, limit: ROWS_AT_ONCE }
    const failed = await bounded(db, (trx) => fail(trx, net, replicable, timedOut, context.logger))
    more ||= failed === ROWS_AT_ONCE
  })
  return more
}

async function fail(
  trx: Knex.Transaction,
  net: Net,
  replicable: Replicable,
  timedOut: TimedOut,
  logger: LoggerLike,
): Promise<number> {
  if (net === 'sync') {
    const rows = await failTimedOutSyncs(trx, replicable, timedOut)
    // PostgreSQL returns them in whatever order it came upon them.
    const inOrder = rows.toSorted((one, other) => Number(one.registryId) - Number(other.registryId))
    logSyncMove(trx, logger, replicable, LOST, inOrder)
    return rows.length
  }
  const onRegistry = net === 'verification'
  const rows = await (onRegistry ? failTimedOutVerifications : failTimedOutRecords)(trx, replicable, timedOut)
  const table = onRegistry ? replicable.names.registryTable : stateTableOf(replicable).table
  const ids = rows.map((row) => row.id)
  logVerificationMove(trx, logger, table, LOST, ids)
  if (onRegistry) logSyncMove(trx, logger, replicable, SYNC_OF_LOST, rows)
  return rows.length
}
