import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { loadSource } from '../blob/source.ts'
import { bounded } from '../databases.ts'
import { claimPrimary, giveBackPrimary, recordPrimary, takeOverPrimary, typesToHash } from './primary-state.ts'
import type { ClaimedRecord, HashPlan, Verdict, VerificationTracker } from './tracker.ts'

/** Tells the secondaries of new checksums, in the transaction that records them. */
export type AnnounceChecksums = (trx: Knex.Transaction, replicable: Replicable, ids: readonly string[]) => Promise<void>

/** Verification of the primary's own files. An immutable blob is judged by its recorded checksum, once there is one. */
export function primaryVerification(main: Knex, announce: AnnounceChecksums): VerificationTracker {
  return Object.freeze({
    waiting: (db: Knex, replicables: readonly Replicable[]) => bounded(db, (trx) => typesToHash(trx, replicables)),
    claim: claimPrimary,

    async plan(replicable: Replicable, claimed: readonly ClaimedRecord[]): Promise<HashPlan[]> {
      const source = await loadSource(
        main,
        replicable,
        claimed.map((record) => record.id),
      )
      return claimed.map(({ id, recorded }): HashPlan => {
        const record = source.get(id)
        if (!record?.available || record.key === null) return { id, key: null, verdict: { id, outcome: 'disabled' } }
        const expected = replicable.immutable ? recorded : null
        return { id, key: record.key, algorithm: expected?.algorithm ?? replicable.checksum, expected }
      })
    },

    async record(
      trx: Knex.Transaction,
      replicable: Replicable,
      claimed: readonly ClaimedRecord[],
      verdicts: readonly Verdict[],
    ): Promise<void> {
      const recorded = await recordPrimary(trx, replicable, claimed, verdicts)
      if (recorded.length > 0) await announce(trx, replicable, recorded)
    },

    takeOver: takeOverPrimary,
    giveBack: giveBackPrimary,
  })
}
