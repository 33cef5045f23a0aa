import type { Knex } from 'knex'
import { BatchSizes } from '../batch-sizes.ts'
import type { Replicable } from '../blob/replicable.ts'
import { scopeProblem } from '../blob/scope.ts'
import type { WorkSource } from '../dispatcher.ts'
import { isLive } from '../lease.ts'
import { type ClaimedRow, claimRows, typesToSync } from '../registry/claims.ts'
import type { GeoSignals } from '../signals.ts'
import { RESPONSE_BYTES } from '../transfer/frame.ts'
import type { Refusal } from '../transfer/refusal.ts'
import { logSyncMove } from '../transition-log.ts'
import { TypeTurns } from '../type-turns.ts'
import type { DownloadContext, SyncBatch } from './batch.ts'
import { ClassTurns } from './class-turns.ts'
import { downloadBatch } from './download.ts'
import { Pauses } from './pauses.ts'

/** One lease of this kind is one open transfer. */
export const SYNC_LEASE = 'sync'

/** Several requests one after the other take that long while as many transfers as there may be are open. */
const QUICK_MS = 1500

export interface ScheduleContext extends DownloadContext {
  /** The types whose flag is on now. */
  enabled(): readonly Replicable[]
  /** Open transfers at once over all processes of the site; 0 pauses. */
  capacity(): number
}

/** Decides what is fetched next: types take turns, and a primary that cannot be reached or asks for patience is left alone. */
export class SyncWork implements WorkSource<SyncBatch> {
  readonly name = 'sync'
  readonly #context: ScheduleContext
  readonly #turns: TypeTurns
  readonly #classes = new ClassTurns()
  readonly #sizes = new BatchSizes(QUICK_MS)
  readonly #pauses: Pauses

  constructor(context: ScheduleContext) {
    this.#context = context
    this.#turns = new TypeTurns(context.clock)
    this.#pauses = new Pauses(context)
  }

  /** Why transfers pause now, or null. */
  get refusal(): Refusal | null {
    return this.#pauses.refusal
  }

  limit(): number {
    const { capacity, threads } = this.#context
    return Math.min(capacity(), threads.transfersAtOnce)
  }

  /** Whether anything waits to be fetched now, and the primary is not left alone. */
  async due(): Promise<boolean> {
    const { tracking, enabled } = this.#context
    const askable = this.#pauses.askable(enabled())
    return askable.length > 0 && (await typesToSync(tracking, askable)).length > 0
  }

  async claim(): Promise<SyncBatch | null> {
    const { tracking, replica, stores, writableStores, siteName, selection } = this.#context
    return this.#turns.take(
      this.#pauses.askable(this.#context.enabled()),
      (replicables) => typesToSync(tracking, replicables),
      async (replicable) => {
        if (await stores.problem(replicable, tracking, siteName)) return null
        if (await writableStores.problem(replicable.store.root)) return null
        if (scopeProblem(replicable, replica, selection())) return null
        return this.#claimOf(replicable)
      },
      ({ replicable, rows }) => rows.length >= this.#sizes.of(replicable.name),
    )
  }

  async #claimOf(replicable: Replicable): Promise<SyncBatch | null> {
    const { tracking, leases } = this.#context
    const limits = { rows: this.#sizes.of(replicable.name), byteBudget: RESPONSE_BYTES }
    const request = { kind: SYNC_LEASE, capacity: this.#context.capacity() }
    const claimed = await leases.claim(tracking, request, replicable.name, async (trx, leaseId) => {
      const rows = await claimRows(trx, replicable, leaseId, limits, this.#classes.orderFor(replicable))
      this.#logStarted(trx, replicable, rows)
      return rows
    })
    if (claimed) this.#classes.taken(replicable)
    for (const { id, brandNew, announcedSecondsAgo } of claimed?.rows ?? []) {
      const waitedSeconds = brandNew && announcedSecondsAgo !== null ? Math.max(0, announcedSecondsAgo) : null
      this.#context.signals.tell('blob:started', { type: replicable.name, id, waitedSeconds })
    }
    return claimed && { replicable, ...claimed, startedAtMs: this.#context.clock.monotonicMs() }
  }

  #logStarted(trx: Knex.Transaction, replicable: Replicable, rows: readonly ClaimedRow[]): void {
    const { logger } = this.#context
    const move = { method: 'claimRows', to: 'started' } as const
    // A row that was tried before has counted it, and one that was not is pending: see giveBackRows.
    const [fresh, retried] = [rows.filter((row) => row.retryCount === 0), rows.filter((row) => row.retryCount > 0)]
    logSyncMove(trx, logger, replicable, { ...move, from: 'pending' }, fresh)
    logSyncMove(trx, logger, replicable, { ...move, from: 'failed' }, retried)
  }

  async work(batch: SyncBatch): Promise<void> {
    const { leases, signals, clock } = this.#context
    let outcome: GeoSignals['transfer:ended']['outcome'] = 'cut'
    try {
      const refusal = await leases.working(batch.lease, () => downloadBatch(this.#context, batch))
      // A transfer that was cut with its lease says nothing of the primary.
      if (isLive(batch.lease)) {
        outcome = refusal ? 'refused' : 'answered'
        this.#pauses.settle(batch.replicable, refusal, batch.startedAtMs)
      }
    } finally {
      const { replicable, rows } = batch
      const ms = clock.monotonicMs() - batch.startedAtMs
      if (outcome === 'answered') this.#sizes.took(replicable.name, rows.length, ms)
      signals.tell('transfer:ended', { type: replicable.name, blobs: rows.length, outcome, seconds: ms / 1000 })
    }
  }
}
