import { stateMachine } from '../state-machine.ts'

/**
 * Verification of one record, on the primary (in its state table or columns) and on a secondary (in its registry):
 * - pending: to be hashed. Reached from every state; from failed it keeps the retry count, so that the backoff keeps growing.
 * - started: claimed by a process under a lease.
 * - succeeded: the stored bytes have the recorded checksum. Only from started; a small copy, hashed as soon as it has its name,
 *   goes through pending and started in the one statement that says it is synced.
 * - failed: hashing failed or the bytes differ; hashed again when its retry is due.
 * - disabled: nothing to compare with yet (the primary has no checksum), or the file is not here.
 */
export const VERIFICATION_STATE = Object.freeze({ pending: 0, started: 1, succeeded: 2, failed: 3, disabled: 4 })
export type VerificationState = keyof typeof VERIFICATION_STATE

const ANY = ['pending', 'started', 'succeeded', 'failed', 'disabled'] as const

/** Which states a record may go through (GB.B.1). */
export const VERIFICATION = stateMachine('verification_state', VERIFICATION_STATE, {
  pending: ANY,
  started: ANY,
  succeeded: ['started'],
  failed: ANY,
  disabled: ANY,
})
