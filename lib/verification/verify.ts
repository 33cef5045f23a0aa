import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import type { StoreIdentities } from '../blob/store-identity.ts'
import type { Clock } from '../clock.ts'
import { bounded } from '../databases.ts'
import type { WorkSource } from '../dispatcher.ts'
import type { Lease, Leases } from '../lease.ts'
import type { LoggerLike } from '../log.ts'
import { logSyncMove, logVerificationMove } from '../transition-log.ts'
import { TypeTurns } from '../type-turns.ts'
import type { ChecksumPool } from './checksum.ts'
import { algorithmsOf, judge } from './judge.ts'
import type { ClaimedRecord, HashPlan, Verdict, VerificationTracker } from './tracker.ts'

// Not the ten of GB.B.4: small files take longer to claim and to mark than to hash, and a batch of large ones is marked in parts.
const RECORDS_PER_BATCH = 100
const VERIFICATION_LEASE = 'verification:'

/** The capacity is split between the types, so each has a kind of lease of its own. */
export function verificationLeaseOf(replicable: Replicable): string {
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
  readonly logger: LoggerLike
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
    const claimed = await leases.claim(db, request, replicable.name, async (trx) => {
      const records = await tracker.claim(trx, replicable, RECORDS_PER_BATCH)
      this.#logStarted(trx, replicable, records)
      return records
    })
    return claimed && { replicable, lease: claimed.lease, claimed: claimed.rows }
  }

  #logStarted(trx: Knex.Transaction, replicable: Replicable, claimed: readonly ClaimedRecord[]): void {
    const { tracker, logger } = this.#context
    for (const [from, records] of Map.groupBy(claimed, (record) => record.from)) {
      const move = { method: 'claim', from, to: 'started' } as const
      const ids = records.map((record) => record.id)
      logVerificationMove(trx, logger, tracker.tableOf(replicable), move, ids)
    }
  }

  /** Of a copy that failed, the sync has failed with it. */
  #logEnded(
    trx: Knex.Transaction,
    { replicable, claimed }: VerificationBatch,
    verdicts: readonly Verdict[],
    recorded: ReadonlySet<string>,
  ): void {
    const { tracker, logger } = this.#context
    const written = verdicts.filter((verdict) => recorded.has(verdict.id))
    for (const [to, ended] of Map.groupBy(written, (verdict) => verdict.outcome)) {
      const ids = ended.map((verdict) => verdict.id)
      logVerificationMove(trx, logger, tracker.tableOf(replicable), { method: 'record', from: 'started', to }, ids)
      if (to !== 'failed') continue
      const failed = new Set(ids)
      const copies = claimed.filter((record) => record.registryId !== null && failed.has(record.id))
      logSyncMove(trx, logger, replicable, { method: 'record', from: 'synced', to }, copies)
    }
  }

  async work(batch: VerificationBatch): Promise<void> {
    const { db, leases, tracker } = this.#context
    const { replicable, lease, claimed } = batch
    try {
      const plans = [...(await tracker.plan(replicable, claimed))]
      while (plans.length > 0) {
        const verdicts = await this.#judgeSome(batch, plans)
        plans.splice(0, verdicts.length)
        const mine = await bounded(db, async (trx) => {
          // What another process has taken over is that one's to judge.
          if (!(await leases.hold(trx, lease))) return null
          const recorded = await tracker.record(trx, replicable, claimed, verdicts)
          this.#logEnded(trx, batch, verdicts, new Set(recorded))
          if (plans.length === 0) await leases.release(trx, lease)
          return recorded
        })
        if (mine === null) return
        this.#report(batch, verdicts, new Set(mine))
      }
    } finally {
      leases.forget(lease)
    }
  }

  /** Verdicts on the first of the plans; on all of them unless they are of much data. */
  async #judgeSome({ replicable, claimed }: VerificationBatch, plans: readonly HashPlan[]): Promise<Verdict[]> {
    const { pool, clock } = this.#context
    const { root } = replicable.store
    const toHash = plans.filter((plan) => plan.key !== null)
    const results = await pool.checksumSome(
      toHash.map((plan) => ({ root, key: plan.key, algorithms: algorithmsOf(plan) })),
    )
    const claims = new Map(claimed.map((record) => [record.id, record]))
    const verdicts: Verdict[] = []
    for (const plan of plans) {
      if (plan.key === null) {
        verdicts.push(plan.verdict)
        continue
      }
      const result = results.shift()
      const claim = claims.get(plan.id)
      if (!result || !claim) break
      verdicts.push(judge(replicable, claim, plan, result, clock))
    }
    if (verdicts.length === 0) throw new Error(`The checksum threads gave no result for ${replicable.name}`)
    return verdicts
  }

  /** Bytes that have gone bad on the primary, and good ones that are back, are each told once. */
  #report(
    { replicable, claimed }: VerificationBatch,
    verdicts: readonly Verdict[],
    recorded: ReadonlySet<string>,
  ): void {
    const { logger } = this.#context
    const corruptBefore = new Set(claimed.filter((record) => record.corrupt).map((record) => record.id))
    for (const verdict of verdicts) {
      const { id } = verdict
      if (!recorded.has(id)) continue
      const fields = { code: 'CORRUPT_ON_PRIMARY', replicable: replicable.name, id }
      const corrupt = verdict.outcome === 'failed' && verdict.code === 'CORRUPT_ON_PRIMARY'
      if (corrupt && !corruptBefore.has(id)) logger.error(fields, verdict.message)
      if (verdict.outcome === 'succeeded' && corruptBefore.has(id)) {
        logger.info(fields, `${replicable.names.className} #${id} has the bytes of its recorded checksum again`)
      }
    }
  }
}
