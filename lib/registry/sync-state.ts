import { stateMachine } from '../state-machine.ts'

/**
 * Replication of one record to this secondary:
 * - pending: to be fetched. Reached from every state; it resets the retry fields and disables verification until synced.
 * - started: claimed by a process under a lease; `last_synced_at` is the moment of this start.
 * - synced: the whole file is here, durable. Only from started: a row put to pending meanwhile stays pending.
 * - failed: the attempt failed, or the copy did not pass verification; tried again when its retry is due.
 */
export const SYNC_STATE = Object.freeze({ pending: 0, started: 1, synced: 2, failed: 3 })
export type SyncState = keyof typeof SYNC_STATE

/** Which states a registry row may go through (GB.A.2). */
export const SYNC = stateMachine('state', SYNC_STATE, {
  pending: ['pending', 'started', 'synced', 'failed'],
  started: ['pending', 'synced', 'failed'],
  synced: ['started'],
  failed: ['pending', 'started', 'synced', 'failed'],
})
