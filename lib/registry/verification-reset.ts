import { VERIFICATION_STATE as V } from '../verification/verification-state.ts'

/**
 * The event `pending` of GB.B.1 on rows of a registry for which `when` holds: the earlier failure is void. A row that failed keeps
 * its retry fields, so that the backoff keeps growing; so does one that is pending already, for the same word may come twice.
 * The other rows get the state `otherwise`, and nothing else.
 */
export function verificationPending(when = 'true', otherwise: string | number = 'verification_state'): string {
  const cleared = `${when} and verification_state not in (${V.pending}, ${V.failed})`
  const where = (condition: string, column: string, value: string) =>
    `${column} = case when ${condition} then ${value} else ${column} end`
  return [
    `verification_state = case when ${when} then ${V.pending} else ${otherwise} end`,
    where(when, 'verification_failure', 'null'),
    where(cleared, 'verification_retry_count', '0'),
    where(cleared, 'verification_retry_at', 'null'),
    where(cleared, 'checksum_mismatch', 'false'),
    where(cleared, 'verification_checksum_mismatched', 'null'),
  ].join(', ')
}
