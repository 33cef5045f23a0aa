import type { Replicable } from '../blob/replicable.ts'
import type { LoggerLike } from '../log.ts'
import { logSyncMoved, logVerificationMoved } from '../transition-log.ts'
import type { PageOutcome } from './reconcile.ts'
import { logReturned } from './registry.ts'

/** Tells of the rows that a page of reconciliation has moved from one state to another; to add or to remove a row is no move. */
export function logMended(
  logger: LoggerLike,
  replicable: Replicable,
  { found, returned }: Pick<PageOutcome, 'found' | 'returned'>,
): void {
  const { registryTable } = replicable.names
  const woken = { method: 'wakeUnverified', to: 'pending' } as const
  logReturned(null, logger, replicable, returned)
  for (const moved of found.get('checksum_unknown') ?? [])
    logVerificationMoved(logger, registryTable, { ...woken, from: 'disabled' }, moved)
  for (const moved of found.get('checksum_changed') ?? [])
    logVerificationMoved(logger, registryTable, { ...woken, from: 'succeeded' }, moved)
  for (const moved of found.get('key_changed') ?? [])
    logSyncMoved(null, logger, replicable, { method: 'resyncMoved', from: 'synced', to: 'pending' }, moved)
}
