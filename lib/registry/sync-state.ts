/**
 * Replication of one record to this secondary:
 * - pending: to be fetched. Reached from every state; it resets the retry fields and disables verification until synced.
 * - started: claimed by a process under a lease; `last_synced_at` is the moment of this start.
 * - synced: the whole file is here, durable. Only from started: a row put to pending meanwhile stays pending.
 * - failed: the attempt failed; tried again when its retry is due.
 */
export const SYNC_STATE = Object.freeze({ pending: 0, started: 1, synced: 2, failed: 3 })
export type SyncState = keyof typeof SYNC_STATE

const TRANSITIONS: Readonly<Record<SyncState, readonly SyncState[]>> = Object.freeze({
  pending: ['pending', 'started', 'synced', 'failed'],
  started: ['pending', 'synced', 'failed'],
  synced: ['started'],
  failed: ['pending', 'started', 'synced', 'failed'],
})

/** Whether a registry row may go from one state to another (GB.A.2). */
export function maySyncGo(from: SyncState, to: SyncState): boolean {
  return TRANSITIONS[to].includes(from)
}
