import type { Knex } from 'knex'
import { compareDigests } from '../blob/digest.ts'
import type { Replicable } from '../blob/replicable.ts'
import type { StoreIdentities } from '../blob/store-identity.ts'
import { backoffSeconds, type Clock } from '../clock.ts'
import { bounded } from '../databases.ts'
import type { WorkSource } from '../dispatcher.ts'
import type { Lease, Leases } from '../lease.ts'
import { TypeTurns } from '../type-turns.ts'
import type { ChecksumPool, ChecksumResult } from './checksum.ts'
import type { ClaimedRecord, HashPlan, Verdict, VerificationTracker } from './tracker.ts'

const RECORDS_PER_BATCH = 100
const VERIFICATION_LEASE = 'verification:'

/** The capacity is split between the types, so each has a kind of lease of its own. */
function verificationLeaseOf(replicable: Replicable): string {
  return `${VERIFICATION_LEASE}${replicable.name}`
}

export function isVerificationLease(kind: string): boolean {
  return kind.startsWith(VERIFICATION_LEASE)
}

export interface VerificationBatch {
  readonly replicable: Replicable
  readonly lease: Lease
  readonly claimed: readonly ClaimedRecord[]
}

export interface VerifyContext {
  /** The site's writable database: main on the primary, tracking on a secondary. */
  readonly db: Knex
  readonly siteName: string
  readonly tracker: VerificationTracker
  readonly leases: Leases
  readonly pool: ChecksumPool
  readonly stores: StoreIdentities
  readonly clock: Clock
  /** The types whose verification is enabled now. */
  enabled(): readonly Replicable[]
  /** Checksum batches at once over all processes of the site; split between the enabled types (GB.B.5). */
  capacity(): number
}

/** Claims batches of records, hashes what is stored, judges it and writes the verdicts. */
export class VerificationWork implements WorkSource<VerificationBatch> {
  readonly name = 'verify'
  readonly #context: VerifyContext
  readonly #turns = new TypeTurns()

  constructor(context: VerifyContext) {
    this.#context = context
  }

  limit(): number {
    // One batch more than there are threads, so that a thread never waits for the database.
    return this.#context.pool.threads + 1
  }

  async claim(): Promise<VerificationBatch | null> {
    const { db, tracker, stores, siteName } = this.#context
    const enabled = this.#context.enabled()
    const capacity = Math.max(1, Math.floor(this.#context.capacity() / Math.max(1, enabled.length)))
    return this.#turns.take(
      enabled,
      (replicables) => tracker.waiting(db, replicables),
      async (replicable) => {
        if (await stores.problem(replicable, db, siteName)) return null
        return this.#claimOf(replicable, capacity)
      },
    )
  }

  async #claimOf(replicable: Replicable, capacity: number): Promise<VerificationBatch | null> {
    const { db, leases, tracker } = this.#context
    const request = { kind: verificationLeaseOf(replicable), capacity }
    const claimed = await leases.claim(db, request, replicable.name, (trx) =>
      tracker.claim(trx, replicable, RECORDS_PER_BATCH),
    )
    return claimed && { replicable, lease: claimed.lease, claimed: claimed.rows }
  }

  async work({ replicable, lease, claimed }: VerificationBatch): Promise<void> {
    const { db, leases, tracker } = this.#context
    try {
      const verdicts = await this.#judge(replicable, claimed, await tracker.plan(replicable, claimed))
      await bounded(db, async (trx) => {
        // What another process has taken over is that one's to judge.
        if (!(await leases.hold(trx, lease))) return
        await tracker.record(trx, replicable, claimed, verdicts)
        await leases.release(trx, lease)
      })
    } finally {
      leases.forget(lease)
    }
  }

  async #judge(
    replicable: Replicable,
    claimed: readonly ClaimedRecord[],
    plans: readonly HashPlan[],
  ): Promise<Verdict[]> {
    const { root } = replicable.store
    const toHash = plans.filter((plan) => plan.key !== null)
    const results = await this.#context.pool.checksumAll(toHash.map(({ key, algorithm }) => ({ root, key, algorithm })))
    const byId = new Map(toHash.map((plan, position) => [plan.id, results[position]]))
    const claims = new Map(claimed.map((record) => [record.id, record]))
    return plans.map((plan) => {
      if (plan.key === null) return plan.verdict
      const result = byId.get(plan.id)
      const claim = claims.get(plan.id)
      if (!result || !claim) throw new Error(`The checksum threads gave no result for ${replicable.name} ${plan.id}`)
      return judge(replicable, claim, plan, result, this.#context.clock)
    })
  }
}

function judge(
  replicable: Replicable,
  claim: ClaimedRecord,
  plan: Extract<HashPlan, { key: string }>,
  result: ChecksumResult,
  clock: Clock,
): Verdict {
  const { id } = plan
  const onSecondary = claim.storedKey !== null
  // The first failure of a copy that was verified before is retried at once; the backoff starts with the second.
  const first = onSecondary && claim.retryCount === 0 && claim.recorded !== null
  const retryInSeconds = first ? 0 : backoffSeconds(claim.retryCount + 1, () => clock.random())
  if (!result.ok) {
    return {
      id,
      outcome: 'failed',
      code: result.code,
      message: `Error during verification: ${result.message}`,
      retryInSeconds,
    }
  }
  const digest = { algorithm: plan.algorithm, hex: result.hex }
  if (!plan.expected || compareDigests(digest, plan.expected) === 'equal') return { id, outcome: 'succeeded', digest }
  const mismatch = { local: digest, expected: plan.expected }
  const details = `${JSON.stringify({ checksum: digest.hex, primary_checksum: plan.expected.hex, registry_id: claim.registryId })}`
  return onSecondary
    ? {
        id,
        outcome: 'failed',
        code: 'VERIFICATION_MISMATCH',
        message: `Checksum does not match the primary checksum ${details}`,
        retryInSeconds,
        mismatch,
      }
    : {
        id,
        outcome: 'failed',
        code: 'CORRUPT_ON_PRIMARY',
        message: `${replicable.names.className} #${id} has other bytes than when its checksum was recorded ${JSON.stringify({ checksum: digest.hex, recorded: plan.expected.hex })}`,
        retryInSeconds,
        mismatch,
      }
}
