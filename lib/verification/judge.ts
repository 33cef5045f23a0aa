import { compareDigests, type Digest } from '../blob/digest.ts'
import type { Replicable } from '../blob/replicable.ts'
import { backoffSeconds, type Clock } from '../clock.ts'
import type { ErrorCode } from '../errors.ts'
import type { ChecksumResult } from './checksum.ts'
import { unhashedText } from './failure-text.ts'
import type { ClaimedRecord, HashPlan, Verdict } from './tracker.ts'

type FilePlan = Extract<HashPlan, { key: string }>

/** What the file is hashed with: what it is judged by, and what is recorded of it. */
export function algorithmsOf({ expected, algorithm }: FilePlan): Digest['algorithm'][] {
  return expected && expected.algorithm !== algorithm ? [expected.algorithm, algorithm] : [algorithm]
}

/** The verification of a record fails, with what is counted and when it is tried again. */
export function failedVerdict(
  { id, storedKey, retryCount, recorded }: ClaimedRecord,
  code: ErrorCode,
  message: string,
  clock: Clock,
): Extract<Verdict, { outcome: 'failed' }> {
  // The first failure of a copy that was verified before is retried at once; the backoff starts with the second.
  const first = storedKey !== null && retryCount === 0 && recorded !== null
  const retryInSeconds = first ? 0 : backoffSeconds(retryCount + 1, () => clock.random())
  return { id, outcome: 'failed', code, message, retryInSeconds }
}

/** How the verification of a record ends, by what was found at its key. */
export function judge(
  replicable: Replicable,
  claim: ClaimedRecord,
  plan: FilePlan,
  result: ChecksumResult,
  clock: Clock,
): Verdict {
  const { id, expected } = plan
  const onSecondary = claim.storedKey !== null
  const failed = (code: ErrorCode, message: string) => failedVerdict(claim, code, message, clock)
  const itsName = `${replicable.names.className} #${id}`
  if (!result.ok) {
    if (!onSecondary && expected && result.code === 'NOT_A_FILE') {
      return failed('CORRUPT_ON_PRIMARY', `${itsName} is no regular file any more: ${result.message}`)
    }
    return failed(result.code, unhashedText(result.message))
  }
  const recorded = result.digests.find((digest) => digest.algorithm === plan.algorithm)
  const local = expected
    ? result.digests.find((digest) => compareDigests(digest, expected) !== 'incomparable')
    : recorded
  if (!recorded || !local) throw new Error(`${itsName} was not hashed with what it is judged by`)
  if (!expected || compareDigests(local, expected) === 'equal') return { id, outcome: 'succeeded', digest: recorded }
  const mismatch = { local, expected }
  if (onSecondary) {
    const details = JSON.stringify({
      checksum: local.hex,
      primary_checksum: expected.hex,
      registry_id: claim.registryId,
    })
    return { ...failed('VERIFICATION_MISMATCH', `Checksum does not match the primary checksum ${details}`), mismatch }
  }
  const details = JSON.stringify({ checksum: local.hex, recorded: expected.hex })
  const message = `${itsName} has other bytes than when its checksum was recorded ${details}`
  return { ...failed('CORRUPT_ON_PRIMARY', message), mismatch }
}
