import type { Knex } from 'knex'
import { failureOf } from '../blob/disk-failure.ts'
import { type Replicable, sharingStore } from '../blob/replicable.ts'
import { scopeProblem } from '../blob/scope.ts'
import type { CurrentSelection } from '../blob/selective-sync.ts'
import { wantedIdsWithin } from '../blob/source.ts'
import type { StoreIdentities } from '../blob/store-identity.ts'
import type { Clock } from '../clock.ts'
import { bounded } from '../databases.ts'
import type { WorkSource } from '../dispatcher.ts'
import { GeoError } from '../errors.ts'
import type { Lease, Leases } from '../lease.ts'
import type { LoggerLike } from '../log.ts'
import { lockForReplacing } from '../registry/file-lock.ts'
import { cancelRemovals, logReturned } from '../registry/registry.ts'
import {
  claimRemovals,
  failRemoval,
  finishRemovals,
  keysInUse,
  keysOf,
  NOT_REMOVED,
  type RemovalRow,
  typesToRemove,
} from '../registry/removal.ts'
import type { Signals } from '../signals.ts'
import { TypeTurns } from '../type-turns.ts'

/** One holder per site: two rows that share a file must not each wait for the other to keep it. */
export const REMOVAL_LEASE = 'removal'

const ROWS_PER_BATCH = 100
const RETRY_IN_SECONDS = 60
/** No copy is stored while files are removed, so where they are slow to go the batch ends early, and the rest is claimed again. */
const LONGEST_HOLD_MS = 1000

export interface RemoveContext {
  readonly replica: Knex
  readonly tracking: Knex
  readonly siteName: string
  readonly leases: Leases
  readonly stores: StoreIdentities
  readonly clock: Clock
  readonly logger: LoggerLike
  readonly signals: Signals
  readonly selection: CurrentSelection
  /** All declared types: what a flag gates is new copies, not the removal of old ones (GB.N.2). */
  readonly replicables: readonly Replicable[]
  /** Whether a server has yet to get to what the site has read of another before it. */
  isBehind(replica: Knex, tracking: Knex, siteName: string): Promise<boolean>
}

export interface RemovalBatch {
  readonly replicable: Replicable
  readonly lease: Lease
  readonly rows: readonly RemovalRow[]
}

/** Removes the files of rows that are gone or out of scope, and earlier files of rows that got another; then the rows. */
export class RemovalWork implements WorkSource<RemovalBatch> {
  readonly name = 'remove'
  readonly #context: RemoveContext
  readonly #turns: TypeTurns
  #saidBehind = false

  constructor(context: RemoveContext) {
    this.#context = context
    this.#turns = new TypeTurns(context.clock)
  }

  limit(): number {
    return 1
  }

  async claim(): Promise<RemovalBatch | null> {
    const { tracking, replica, replicables, stores, siteName, selection } = this.#context
    return this.#turns.take(
      replicables,
      (all) => typesToRemove(tracking, all),
      async (replicable) => {
        if (await stores.problemNow(replicable, tracking, siteName)) return null
        if (scopeProblem(replicable, replica, selection())) return null
        if (await this.#isReplicaBehind()) return null
        return this.#claimOf(replicable)
      },
      ({ rows }) => rows.length === ROWS_PER_BATCH,
    )
  }

  async #claimOf(replicable: Replicable): Promise<RemovalBatch | null> {
    const { tracking, leases } = this.#context
    const request = { kind: REMOVAL_LEASE, capacity: 1 }
    const claimed = await leases.claim(tracking, request, replicable.name, (trx, leaseId) =>
      claimRemovals(trx, replicable, leaseId, ROWS_PER_BATCH),
    )
    return claimed && { replicable, ...claimed }
  }

  async work({ replicable, lease, rows }: RemovalBatch): Promise<void> {
    const { tracking, leases, clock } = this.#context
    const removed = await leases.working(lease, () =>
      bounded(tracking, async (trx) => {
        if (!(await leases.hold(trx, lease))) return []
        await lockForReplacing(trx)
        const endsAtMs = clock.monotonicMs() + LONGEST_HOLD_MS
        const done: RemovalRow[] = []
        const going = await this.#withoutReturned(trx, replicable, rows)
        const inUse = await keysInUse(trx, sharingStore(this.#context.replicables, replicable), keysOf(going), lease.id)
        try {
          for (const [at, row] of going.entries()) {
            if (await this.#removeFiles(trx, replicable, lease, row, inUse)) done.push(row)
            if (clock.monotonicMs() > endsAtMs && shareNothing(going.slice(0, at + 1), going.slice(at + 1))) break
          }
          if (done.length > 0) await this.#requireStore(trx, replicable)
        } catch (reason) {
          if (!(reason instanceof GeoError) || reason.code !== 'STORE_NOT_MOUNTED') throw reason
          // What was not found on another disk is not removed: all of it is done again once the store is back.
          done.length = 0
          this.#context.logger.warn({ code: reason.code, replicable: replicable.name }, reason.message)
        }
        const gone = await finishRemovals(trx, replicable, lease.id, done)
        await leases.release(trx, lease)
        return gone
      }),
    )
    for (const id of removed) this.#context.signals.tell('blob:removed', { type: replicable.name, id })
  }

  /**
   * What asked for a removal may have seen the table before the record came (back), so a record that is available and in scope now keeps
   * its row and its file. None where another standby, which is behind, has taken the place of the one that was seen: it cannot say.
   */
  async #withoutReturned(
    trx: Knex.Transaction,
    replicable: Replicable,
    rows: readonly RemovalRow[],
  ): Promise<RemovalRow[]> {
    const whole = rows.filter((row) => row.whole).map((row) => row.id)
    if (whole.length === 0) return [...rows]
    const { replica, siteName, selection, isBehind, logger } = this.#context
    const returned = await bounded(replica, async (session) =>
      (await isBehind(session, trx, siteName)) ? null : wantedIdsWithin(session, replicable, whole, selection()),
    )
    if (returned === null) return []
    if (returned.length > 0) logReturned(trx, logger, replicable, await cancelRemovals(trx, replicable, returned))
    return rows.map((row) => (returned.includes(row.id) ? { ...row, whole: false } : row))
  }

  /** Waits for such a standby rather than to claim in vain; says so once. */
  async #isReplicaBehind(): Promise<boolean> {
    const { replica, tracking, siteName, isBehind, logger } = this.#context
    const behind = await isBehind(replica, tracking, siteName)
    if (behind && !this.#saidBehind) {
      logger.warn(
        { siteName },
        'The replica has not got to what this site has read of another before it: nothing is removed until it has',
      )
    }
    this.#saidBehind = behind
    return behind
  }

  /**
   * Before each file: a process that was stopped in the midst has lost its session meanwhile, and with it what kept others from using
   * the same name. Where files are slow to go, the session is not silent for too long either.
   */
  async #requireLease(trx: Knex.Transaction, lease: Lease): Promise<void> {
    if (await this.#context.leases.hold(trx, lease)) return
    throw new GeoError('LEASE_LOST', `Lease ${lease.id} ended while files were removed under it`)
  }

  /** Before each file and after the last: the volume may go, or another take its place, at any time. */
  async #requireStore(trx: Knex.Transaction, replicable: Replicable): Promise<void> {
    const { stores, siteName } = this.#context
    const problem = await stores.problemNow(replicable, trx, siteName)
    if (problem) throw problem
  }

  async #removeFiles(
    trx: Knex.Transaction,
    replicable: Replicable,
    lease: Lease,
    row: RemovalRow,
    inUse: ReadonlySet<string>,
  ): Promise<boolean> {
    for (const key of keysOf([row])) {
      if (inUse.has(key)) continue
      await this.#requireLease(trx, lease)
      await this.#requireStore(trx, replicable)
      try {
        await replicable.store.remove(key)
      } catch (reason) {
        const { code, message } = failureOf(reason, key)
        const failure = {
          id: row.id,
          code,
          message: `${NOT_REMOVED}${message}`,
          retryInSeconds: RETRY_IN_SECONDS,
        }
        await failRemoval(trx, replicable, lease.id, failure)
        const { id, retryInSeconds } = failure
        const told = { type: replicable.name, id, during: 'removal', code, retryInSeconds } as const
        this.#context.logger.error({ code, replicable: replicable.name, id }, failure.message)
        this.#context.signals.tell('blob:failed', { ...told, message: failure.message })
        return false
      }
    }
    return true
  }
}

/** What one row's removal takes with it, another that is put off may still come to need. */
function shareNothing(some: readonly RemovalRow[], others: readonly RemovalRow[]): boolean {
  const taken = new Set(keysOf(some))
  return !keysOf(others).some((key) => taken.has(key))
}
