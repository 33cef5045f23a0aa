import type { Knex } from 'knex'
import { namedKeys } from '../blob/named-keys.ts'
import { type Replicable, sharingStore } from '../blob/replicable.ts'
import type { CurrentSelection } from '../blob/selective-sync.ts'
import type { StoreIdentities } from '../blob/store-identity.ts'
import { noteSwept, storesToSweep, typesInStoreOf } from '../blob/store-table.ts'
import { UnnamedRows } from '../blob/unnamed-rows.ts'
import type { Clock } from '../clock.ts'
import type { LoggerLike } from '../log.ts'
import { addDrift } from '../registry/drift.ts'
import type { Role } from '../site.ts'
import { removeOrphans } from './remove-orphans.ts'
import { StoreWalk } from './store-walk.ts'

/** Only the host can say the keys of its rows; so few at once that it is not held up. */
const ROWS_AT_ONCE = 200
const KEYS_IN_LOG = 10
/** Before a sweep that found too many files on their way begins anew. */
const PUT_OFF_MS = 3_600_000

export interface SweepContext {
  readonly siteName: string
  /** Where the host's rows are: on a secondary the replica. */
  readonly main: Knex
  /** The site's writable database. */
  writable(): Knex
  role(): Role
  readonly replicables: readonly Replicable[]
  readonly stores: StoreIdentities
  readonly clock: Clock
  readonly logger: LoggerLike
  readonly selection: CurrentSelection
  readonly orphanAgeMs: number
  readonly everyMs: number
  readonly removes: boolean
}

/** A sweep that is under way. */
interface Under {
  readonly sharing: readonly Replicable[]
  readonly walk: StoreWalk
  /** The types whose rows are still to be read, and the key after which. */
  readonly unread: { readonly replicable: Replicable; after: string | null }[]
  /** Found in the store and looked at next. */
  candidates: readonly string[]
  ended: boolean
  found: number
  removed: number
  /** With rows whose keys the host cannot say, any file may be theirs. */
  readonly unnamed: UnnamedRows
  readonly examples: string[]
}

/**
 * Finds files that neither a row nor a registry row names, store by store, a bounded piece at a time. All rows are read first,
 * then the folder is walked; a file counts only if it is older than a day in content and name, for it may be there before its
 * row: an upload on the primary, or a secondary that is filled by other means. On a secondary such files are removed and counted
 * as drift of the first type in that store; on the primary they are only reported, also by health. Temporary and part files of that age go on
 * both. Where the host cannot say the keys of some rows, nothing is removed: any file may be theirs.
 */
export class Sweep {
  readonly #context: SweepContext
  #under: Under | null = null
  #putOffUntilMs = Number.NEGATIVE_INFINITY

  constructor(context: SweepContext) {
    this.#context = context
  }

  /** Does the next piece, if a store is due. True: call again at once. Once the signal aborts nothing is left running. */
  async step(signal: AbortSignal): Promise<boolean> {
    if (this.#context.clock.monotonicMs() < this.#putOffUntilMs) return false
    this.#under ??= await this.#begin(signal)
    if (!this.#under) return false
    try {
      return await this.#go(this.#under)
    } catch (reason) {
      await this.#end(this.#under)
      throw reason
    }
  }

  async #begin(signal: AbortSignal): Promise<Under | null> {
    const { siteName, replicables, clock, orphanAgeMs, everyMs, writable, logger } = this.#context
    const due = await storesToSweep(writable(), siteName, everyMs)
    for (const first of replicables.filter(({ name }) => due.includes(name))) {
      const { root } = first.store
      const sharing = sharingStore(replicables, first)
      if (!(await this.#areMounted(sharing))) continue
      const names = sharing.map(({ name }) => name)
      const strangers = (await typesInStoreOf(writable(), siteName, first.name)).filter((name) => !names.includes(name))
      if (strangers.length > 0) {
        logger.info(
          { root, strangers },
          'A store is not swept: files of types lie there that are not declared any more',
        )
        await noteSwept(writable(), siteName, names, null)
        continue
      }
      if (signal.aborted) return null
      const walk = new StoreWalk({ root, olderThanMs: clock.nowMs() - orphanAgeMs })
      signal.addEventListener('abort', () => void walk.close(), { once: true })
      const unread = sharing.map((replicable) => ({ replicable, after: null }))
      return {
        sharing,
        walk,
        unread,
        candidates: [],
        ended: false,
        found: 0,
        removed: 0,
        unnamed: new UnnamedRows(),
        examples: [],
      }
    }
    return null
  }

  async #go(under: Under): Promise<boolean> {
    const { main, selection } = this.#context
    const [reading] = under.unread
    if (reading) {
      const { replicable, after } = reading
      const { keys, failures, next } = await namedKeys(main, replicable, after, ROWS_AT_ONCE, selection())
      for (const failure of failures) under.unnamed.note(failure)
      await under.walk.name(keys)
      reading.after = next
      if (next === null) under.unread.shift()
      return true
    }
    if (under.candidates.length > 0) return this.#settle(under)
    if (!under.ended) {
      const { keys, ended } = await under.walk.next()
      under.candidates = keys
      under.ended = ended
      return true
    }
    await this.#finish(under)
    return true
  }

  /** What becomes of the candidates. False: not now. */
  async #settle(under: Under): Promise<boolean> {
    const { main, writable, role, selection, removes } = this.#context
    const { sharing, candidates, unnamed } = under
    if (role() === 'primary') {
      this.#note(under, candidates)
      under.candidates = []
      return true
    }
    if (!(await this.#areMounted(sharing))) throw new Error(`${sharing[0]?.store.root} is not mounted any more`)
    const sure = removes && unnamed.count === 0
    const how = { replica: main, tracking: writable(), selection: selection(), removes: sure }
    const orphans = await removeOrphans(how, sharing, candidates)
    if (orphans === 'busy') return false
    if (orphans === 'on their way') return this.#putOff(under)
    this.#note(under, orphans.keys)
    under.removed += orphans.removed
    under.candidates = []
    const [first] = sharing
    // What stays would be counted again each day.
    if (first && orphans.removed > 0) await addDrift(writable(), first.name, 'file_without_either', orphans.removed)
    return true
  }

  /** While so much is fetched, or cannot be, any file may belong to it. Nothing stays open meanwhile. */
  async #putOff(under: Under): Promise<boolean> {
    const { logger, clock } = this.#context
    const root = under.sharing[0]?.store.root
    logger.info({ root }, 'A store is not swept now: too many blobs are on their way or failed; tried again in an hour')
    this.#putOffUntilMs = clock.monotonicMs() + PUT_OFF_MS
    await this.#end(under)
    return false
  }

  #note(under: Under, keys: readonly string[]): void {
    under.found += keys.length
    under.examples.push(...keys.slice(0, KEYS_IN_LOG - under.examples.length))
  }

  async #finish(under: Under): Promise<void> {
    const { siteName, writable, logger } = this.#context
    const names = under.sharing.map(({ name }) => name)
    const root = under.sharing[0]?.store.root
    under.unnamed.tell(logger, { root, replicables: names })
    if (under.found > 0) {
      const done = under.removed === under.found ? 'they were removed' : 'they stay'
      const fields = { code: 'ORPHANED_FILES', root, files: under.found }
      logger.warn({ ...fields, examples: under.examples }, `Files that no row names were found; ${done}`)
    }
    await noteSwept(writable(), siteName, names, under.found - under.removed)
    await this.#end(under)
  }

  async #end(under: Under): Promise<void> {
    this.#under = null
    await under.walk.close()
  }

  async #areMounted(sharing: readonly Replicable[]): Promise<boolean> {
    const { stores, writable, siteName } = this.#context
    for (const replicable of sharing) if (await stores.problemNow(replicable, writable(), siteName)) return false
    return true
  }
}
