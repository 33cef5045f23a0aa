import type { Knex } from 'knex'
import { stateTableOf } from '../blob/primary-checksum.ts'
import type { Replicable } from '../blob/replicable.ts'
import { loadSource } from '../blob/source.ts'
import { bounded } from '../databases.ts'
import { unhashedText } from './failure-text.ts'
import { claimPrimary, claimVerifiedPrimary, typesToHash } from './primary-claim.ts'
import { drawPrimary, giveBackPrimary, recordPrimary, takeOverPrimary } from './primary-state.ts'
import type { ClaimedRecord, HashPlan, Verdict, VerificationTracker } from './tracker.ts'

/** Tells the secondaries of new checksums, in the transaction that records them. */
export type AnnounceChecksums = (trx: Knex.Transaction, replicable: Replicable, ids: readonly string[]) => Promise<void>

/** Verification of the primary's own files. An immutable blob is judged by its recorded checksum, once there is one. */
export function primaryVerification(main: Knex, announce: AnnounceChecksums): VerificationTracker {
  return Object.freeze({
    tableOf: (replicable: Replicable) => stateTableOf(replicable).table,
    waiting: (db: Knex, replicables: readonly Replicable[]) => bounded(db, (trx) => typesToHash(trx, replicables)),
    claim: claimPrimary,
    claimVerified: claimVerifiedPrimary,
    draw: drawPrimary,

    async plan(replicable: Replicable, claimed: readonly ClaimedRecord[]): Promise<HashPlan[]> {
      const source = await loadSource(
        main,
        replicable,
        claimed.map((record) => record.id),
      )
      return claimed.map(({ id, recorded, unreadable }): HashPlan => {
        const record = source.get(id)
        if (record?.wanted && record.failure) return { id, key: null, failure: record.failure }
        if (!record?.wanted || record.key === null) return { id, key: null, verdict: { id, outcome: 'disabled' } }
        if (replicable.immutable && unreadable) return { id, key: null, verdict: unreadableVerdict(id) }
        // Judged by the algorithm it was recorded with; the type's own, if it is another now, is recorded once that one fits.
        const expected = replicable.immutable ? recorded : null
        return { id, key: record.key, algorithm: replicable.checksum, expected }
      })
    },

    async record(
      trx: Knex.Transaction,
      replicable: Replicable,
      claimed: readonly ClaimedRecord[],
      verdicts: readonly Verdict[],
    ): Promise<readonly string[]> {
      const recorded = await recordPrimary(trx, replicable, claimed, verdicts)
      const written = new Set(recorded)
      const succeeded = verdicts.filter(({ id, outcome }) => outcome === 'succeeded' && written.has(id))
      if (succeeded.length > 0) {
        await announce(
          trx,
          replicable,
          succeeded.map(({ id }) => id),
        )
      }
      return recorded
    },

    takeOver: takeOverPrimary,
    giveBack: giveBackPrimary,
  })
}

const UNREADABLE_RETRY_S = 3600

/** After a return to an older version: its own checksum must not take the place of one that it cannot compare with. */
function unreadableVerdict(id: string): Verdict {
  return {
    id,
    outcome: 'failed',
    code: 'NOT_CHECKSUMMABLE',
    message: unhashedText('The recorded checksum is of an algorithm that this version does not know'),
    retryInSeconds: UNREADABLE_RETRY_S,
  }
}
