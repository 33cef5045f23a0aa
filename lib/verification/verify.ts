import type { Knex } from 'knex'
import { BatchSizes } from '../batch-sizes.ts'
import type { Replicable } from '../blob/replicable.ts'
import type { StoreIdentities } from '../blob/store-identity.ts'
import type { Clock } from '../clock.ts'
import { bounded, boundedByKey } from '../databases.ts'
import type { WorkSource } from '../dispatcher.ts'
import type { GeoError } from '../errors.ts'
import type { Lease, Leases } from '../lease.ts'
import type { LoggerLike } from '../log.ts'
import type { Signals } from '../signals.ts'
import { TypeTurns } from '../type-turns.ts'
import { logEnded, logStarted, reportCorruption, tellVerdicts } from './batch-log.ts'
import type { ChecksumPool } from './checksum.ts'
import type { DrawnPage, DrawRequest } from './draw-page.ts'
import { unhashedText } from './failure-text.ts'
import { algorithmsOf, failedVerdict, judge } from './judge.ts'
import type { ClaimedRecord, HashPlan, Verdict, VerificationTracker } from './tracker.ts'

const QUICK_MS = 500
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
  /** When it was claimed, on this process's clock. */
  readonly claimedAtMs: number
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
  readonly signals: Signals
  /** The types whose verification is enabled now. */
  enabled(): readonly Replicable[]
  /** Checksum batches at once over all processes of the site; split between the enabled types (GB.B.5). */
  capacity(): number
}

/** Claims batches of records, hashes what is stored, judges it and writes the verdicts. */
export class VerificationWork implements WorkSource<VerificationBatch> {
  readonly name = 'verify'
  readonly #context: VerifyContext
  readonly #turns: TypeTurns
  readonly #sizes = new BatchSizes(QUICK_MS)

  constructor(context: VerifyContext) {
    this.#context = context
    this.#turns = new TypeTurns(context.clock)
  }

  limit(): number {
    // One batch more than there are threads, so that a thread never waits for the database.
    return this.#context.pool.threads + 1
  }

  /** Whether anything waits to be hashed now. */
  async due(): Promise<boolean> {
    const { db, tracker, enabled } = this.#context
    return (await tracker.waiting(db, enabled())).length > 0
  }

  async claim(): Promise<VerificationBatch | null> {
    const { db, tracker, stores, siteName } = this.#context
    return this.#turns.take(
      this.#context.enabled(),
      (replicables) => tracker.waiting(db, replicables),
      async (replicable) => {
        if (await stores.problem(replicable, db, siteName)) return null
        return this.#claimOf(replicable, (trx) => tracker.claim(trx, replicable, this.#sizes.of(replicable.name)))
      },
      ({ replicable, claimed }) => claimed.length >= this.#sizes.of(replicable.name),
    )
  }

  async #claimOf(
    replicable: Replicable,
    claim: (trx: Knex.Transaction) => Promise<readonly ClaimedRecord[]>,
  ): Promise<VerificationBatch | null> {
    const { db, leases, enabled } = this.#context
    const capacity = Math.max(1, Math.floor(this.#context.capacity() / Math.max(1, enabled().length)))
    const request = { kind: verificationLeaseOf(replicable), capacity }
    const claimed = await leases.claim(db, request, replicable.name, async (trx) => {
      const records = await claim(trx)
      logStarted(trx, this.#context, replicable, records)
      return records
    })
    const claimedAtMs = this.#context.clock.monotonicMs()
    return claimed && { replicable, lease: claimed.lease, claimed: claimed.rows, claimedAtMs }
  }

  /** Draws from the verified records of one page. */
  draw(replicable: Replicable, request: DrawRequest): Promise<DrawnPage> {
    return this.#context.tracker.draw(this.#context.db, replicable, request)
  }

  /**
   * Hashes those of the given records, at most 100, that are verified, now, and returns the verdicts that could be written. Null
   * where the site's capacity is used up.
   * @throws GeoError `STORE_NOT_MOUNTED`
   */
  async examine(replicable: Replicable, ids: readonly string[]): Promise<Verdict[] | null> {
    const { db, tracker, stores, siteName } = this.#context
    const problem = await stores.problem(replicable, db, siteName)
    if (problem) throw problem
    let hasRoom = false
    const batch = await this.#claimOf(replicable, (trx) => {
      hasRoom = true
      return tracker.claimVerified(trx, replicable, ids)
    })
    if (batch) return this.#work(batch)
    return hasRoom ? [] : null
  }

  async work(batch: VerificationBatch): Promise<void> {
    await this.#work(batch)
    const { replicable, claimed, claimedAtMs } = batch
    this.#sizes.took(replicable.name, claimed.length, this.#context.clock.monotonicMs() - claimedAtMs)
  }

  #work(batch: VerificationBatch): Promise<Verdict[]> {
    return this.#context.leases.working(batch.lease, () => this.#judge(batch))
  }

  async #judge(batch: VerificationBatch): Promise<Verdict[]> {
    const { db, leases, tracker } = this.#context
    const { replicable, lease, claimed } = batch
    // Triggers of the host may lie on its own table: what they ask is planned as ever.
    const recording = tracker.tableOf(replicable) === replicable.table ? bounded : boundedByKey
    const written: Verdict[] = []
    const plans = [...(await tracker.plan(replicable, claimed))]
    while (plans.length > 0) {
      const verdicts = await this.#judgeSome(batch, plans)
      if (await this.#isElsewhere(replicable, verdicts)) {
        await this.#giveBack(
          batch,
          plans.map(({ id }) => id),
        )
        break
      }
      plans.splice(0, verdicts.length)
      const mine = await recording(db, async (trx) => {
        // What another process has taken over is that one's to judge.
        if (!(await leases.hold(trx, lease))) return null
        const recorded = new Set(await tracker.record(trx, replicable, claimed, verdicts))
        const mine = verdicts.filter(({ id }) => recorded.has(id))
        logEnded(trx, this.#context, batch, mine)
        if (plans.length === 0) await leases.release(trx, lease)
        return mine
      })
      if (mine === null) break
      written.push(...mine)
      reportCorruption(this.#context.logger, batch, mine)
      tellVerdicts(this.#context, batch, mine)
    }
    return written
  }

  /** What was not found, or found otherwise, says nothing where the volume of the store has gone meanwhile. */
  async #isElsewhere(replicable: Replicable, verdicts: readonly Verdict[]): Promise<boolean> {
    const { db, stores, siteName, logger } = this.#context
    if (verdicts.every(({ outcome }) => outcome !== 'failed')) return false
    const problem = await stores.problemNow(replicable, db, siteName)
    if (problem) logger.warn({ code: problem.code, replicable: replicable.name }, problem.message)
    return problem !== null
  }

  async #giveBack({ replicable, lease }: VerificationBatch, ids: readonly string[]): Promise<void> {
    const { db, leases, tracker } = this.#context
    await bounded(db, async (trx) => {
      if (!(await leases.hold(trx, lease))) return
      await tracker.giveBack(trx, replicable, ids)
      await leases.release(trx, lease)
    })
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
      const claim = claims.get(plan.id)
      if (!claim) break
      if (plan.key === null) {
        verdicts.push('verdict' in plan ? plan.verdict : unnamed(claim, plan.failure, clock))
        continue
      }
      const result = results.shift()
      if (!result) break
      verdicts.push(judge(replicable, claim, plan, result, clock))
    }
    if (verdicts.length === 0) throw new Error(`The checksum threads gave no result for ${replicable.name}`)
    return verdicts
  }
}

function unnamed(claim: ClaimedRecord, { code, message }: GeoError, clock: Clock): Verdict {
  return failedVerdict(claim, code, unhashedText(message), clock)
}
