import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { bounded } from '../databases.ts'
import { GeoError, messageOf } from '../errors.ts'
import { keyBounds, walkKeys } from '../key-walk.ts'
import type { SiteDirectory } from '../site.ts'
import { type BulkRun, toBulkRun } from './bulk-run.ts'
import { type BulkAction, type BulkRequest, checkRequest } from './request.ts'
import { activeRuns, cancelRun, findActiveRun, findRun, insertRun, listRuns, noteFailure } from './run-table.ts'
import { walkOf, workPage } from './work-page.ts'

const LISTED = 100

export interface BulkContext {
  readonly replicables: ReadonlyMap<string, Replicable>
  readonly sites: SiteDirectory
  /** The database that this site writes, by its role now. */
  writable(): Knex
  /** A run was stored. */
  started(): void
  /** Rows of this site have new work. */
  changed(action: BulkAction): void
}

/** Starts, shows and ends bulk runs, and does their pages. */
export class BulkRuns {
  readonly #context: BulkContext
  /** Failures that could not be stored when they happened: the database was down. */
  readonly #unstored = new Map<string, string>()

  constructor(context: BulkContext) {
    this.#context = context
  }

  /** @throws GeoError `BULK_RUN_ACTIVE`, `STALE_EPOCH` and what checkRequest throws */
  async start(request: BulkRequest): Promise<BulkRun> {
    const db = await this.#changeable()
    const { role } = this.#context.sites
    const checked = checkRequest(request, this.#context.replicables, role)
    const row = await bounded(db, async (trx) => {
      const walk = walkOf(role === 'primary' ? role : 'secondary', checked.action, checked.replicable, checked.filter)
      return insertRun(trx, checked, await keyBounds(trx, walk))
    })
    if (!row) {
      const active = await findActiveRun(db, checked)
      const run = active ? `Run ${active.id}` : 'Another run'
      throw new GeoError('BULK_RUN_ACTIVE', `${run} (${checked.action} of ${checked.replicable.name}) is active`)
    }
    this.#context.started()
    return toBulkRun(row)
  }

  /**
   * On a secondary, now and without a run: a few registry rows, by their ids. Returns the ids of those that another transaction
   * has locked, to which nothing was done.
   * @throws GeoError `NOT_SECONDARY`, `STALE_EPOCH`
   */
  async changeNow(
    action: BulkAction,
    replicable: Replicable,
    registryIds: readonly string[],
  ): Promise<readonly string[]> {
    const db = await this.#changeable()
    if (this.#context.sites.role !== 'secondary') {
      throw new GeoError('NOT_SECONDARY', 'Registries are kept by secondaries')
    }
    const walk = walkOf('secondary', action, replicable, {})
    const { changed, busy } = await bounded(db, (trx) => walkKeys(trx, walk, registryIds, false))
    if (changed > 0) this.#context.changed(action)
    return busy
  }

  /** @throws GeoError `BULK_RUN_UNKNOWN` */
  async get(id: string): Promise<BulkRun> {
    const db = await this.#database()
    const row = /^\d{1,18}$/.test(id) ? await findRun(db, id) : null
    if (!row) throw new GeoError('BULK_RUN_UNKNOWN', `There is no bulk run ${JSON.stringify(id)}`)
    return toBulkRun(row)
  }

  async list(): Promise<BulkRun[]> {
    return (await listRuns(await this.#database(), LISTED)).map(toBulkRun)
  }

  /** @throws GeoError `BULK_RUN_UNKNOWN`, `STALE_EPOCH` */
  async cancel(id: string): Promise<BulkRun> {
    const db = await this.#changeable()
    await this.get(id)
    await cancelRun(db, id)
    return this.get(id)
  }

  /** Whether a run waits for a page that this process can do. */
  async waiting(db: Knex): Promise<boolean> {
    return (await this.#workable(db)).length > 0
  }

  /** Does one page of each active run. True: there is more to do at once. */
  async step(db: Knex, role: 'primary' | 'secondary'): Promise<boolean> {
    await this.#storeFailures(db)
    let more = false
    let failure: unknown = null
    for (const { id, action, replicable } of await this.#workable(db)) {
      try {
        const page = await workPage(db, id, role, replicable)
        more = more || (page?.more ?? false)
        if (page && page.changed > 0) this.#context.changed(action)
      } catch (reason) {
        // One run that cannot go on must not hold up the others; the loop's backoff comes after all had their turn.
        failure = reason
        this.#unstored.set(id, causeOf(reason))
      }
    }
    if (failure === null) return more
    await this.#storeFailures(db)
    throw failure
  }

  // A process that does no background work learns its role here.
  async #database(): Promise<Knex> {
    await this.#context.sites.ensureFresh()
    return this.#context.writable()
  }

  /** The same, for what is changed: a primary that another one has followed takes no work any more. */
  async #changeable(): Promise<Knex> {
    const db = await this.#database()
    this.#context.sites.requireUnfenced()
    return db
  }

  async #workable(db: Knex): Promise<{ id: string; action: BulkAction; replicable: Replicable }[]> {
    const active = await activeRuns(db)
    return active.flatMap(({ id, action, replicable_name: name }) => {
      const replicable = this.#context.replicables.get(name)
      return replicable ? [{ id, action, replicable }] : []
    })
  }

  async #storeFailures(db: Knex): Promise<void> {
    for (const [id, message] of this.#unstored) {
      await noteFailure(db, id, message)
      this.#unstored.delete(id)
    }
  }
}

/** What PostgreSQL said, without the statement that Knex puts before it. */
function causeOf(reason: unknown): string {
  return messageOf(reason).split(' - ').at(-1) ?? ''
}
