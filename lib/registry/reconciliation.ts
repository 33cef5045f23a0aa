import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { type CurrentSelection, type SelectiveSync, sameSelection } from '../blob/selective-sync.ts'
import { UnnamedRows } from '../blob/unnamed-rows.ts'
import type { Clock } from '../clock.ts'
import { KeyPass } from '../key-pass.ts'
import type { LoggerLike } from '../log.ts'
import { addDrift } from './drift.ts'
import { logMended } from './mend-log.ts'
import { type Found, foundOf, reconcilePage } from './reconcile.ts'
import {
  endReconciliation,
  forgetReconciliations,
  loadReconciliations,
  type TypeReconciliation,
} from './reconciliation-table.ts'

/** A pass over all keys begins this often, for what no event has told. */
const PASS_EVERY_MS = 60_000

/** Knows which differences the event log will still tell of. */
export interface EventLedger<Position> {
  /** Up to where the log has been read; null before the first look. To be asked before differences are looked for. */
  position(): Promise<Position | null>
  /** How many of the records, a literal of keys, no event after the position speaks of. */
  countUntold(replicable: Replicable, literal: string, position: Position): Promise<number>
}

export interface ReconciliationContext<Position> {
  readonly replica: Knex
  readonly tracking: Knex
  readonly ledger: EventLedger<Position>
  readonly clock: Clock
  readonly logger: LoggerLike
  readonly selection: CurrentSelection
  enabled(): readonly Replicable[]
  /** What a page has found, for those who work on it. */
  found(found: Found): void
}

interface Begun {
  readonly at: string
  /** Whether an earlier whole pass was made by the same selection: then what this one finds has arisen since. */
  readonly hasBaseline: boolean
  readonly unnamed: UnnamedRows
}

/**
 * Compares the registries with the host's rows, page by page, pass after pass. A pass begins each minute, at once when another
 * selection is set, and at once when one is asked for in the database. What it finds counts as drift where an event should have
 * told of it and none did: not what an event is still to tell, and nothing on the first pass of a type (after its flag came on,
 * after its selection changed, or after events were missed as a whole), which is the backfill.
 */
export class Reconciliation<Position> {
  readonly #context: ReconciliationContext<Position>
  readonly #pass = new KeyPass(PASS_EVERY_MS)
  readonly #begun = new Map<string, Begun>()
  #selection: SelectiveSync | null = null
  #answered = ''

  constructor(context: ReconciliationContext<Position>) {
    this.#context = context
  }

  /** One page, if there is one now. True: call again at once. */
  async step(): Promise<boolean> {
    const { tracking, clock, enabled, selection } = this.#context
    const types = enabled()
    const selected = selection()
    const known = await loadReconciliations(tracking)
    const names = types.map(({ name }) => name)
    if ([...known.types.keys()].some((name) => !names.includes(name))) await forgetReconciliations(tracking, names)
    const atOnce = [...known.types.values()].filter((type) => type.atOnce)
    const asked = atOnce.map(({ askedAt }) => askedAt ?? '').reduce(later, '')
    if (asked > this.#answered || !sameSelection(selected, this.#selection)) this.#pass.restart()
    this.#answered = later(asked, this.#answered)
    this.#selection = selected
    return this.#pass.step(types, clock.monotonicMs(), (replicable, after) =>
      this.#page(replicable, after, selected, known.now, known.types.get(replicable.name)),
    )
  }

  async #page(
    replicable: Replicable,
    after: string | null,
    selection: SelectiveSync | null,
    now: string,
    last: TypeReconciliation | undefined,
  ): Promise<string | null> {
    const { replica, tracking, ledger, logger } = this.#context
    if (after === null) {
      const hasBaseline = last?.endedAt != null && sameSelection(last.selection, selection)
      this.#begun.set(replicable.name, { at: now, hasBaseline, unnamed: new UnnamedRows() })
    }
    const begun = this.#begun.get(replicable.name)
    if (!begun) throw new Error(`A pass of ${replicable.name} begins in its middle`)
    const position = begun.hasBaseline ? await ledger.position() : null
    const query = { after, selection, asOf: now, unnamed: begun.unnamed }
    const page = await reconcilePage({ replica, tracking }, replicable, query)
    logMended(logger, replicable, page)
    const { next, found } = page
    this.#context.found(found)
    if (position) await this.#countDrift(replicable, found, position)
    if (next === null) {
      begun.unnamed.tell(logger, { replicable: replicable.name })
      await endReconciliation(tracking, replicable.name, { beganAt: begun.at, selection })
    }
    return next
  }

  async #countDrift(replicable: Replicable, found: Found, position: Position): Promise<void> {
    const { tracking, ledger, logger } = this.#context
    for (const [kind, mended] of found) {
      let count = 0
      for (const { literal } of mended.filter((some) => some.count > 0)) {
        count += await ledger.countUntold(replicable, literal, position)
      }
      if (count === 0) continue
      await addDrift(tracking, replicable.name, kind, count)
      logger.warn(
        { code: 'DRIFT_MENDED', replicable: replicable.name, kind, count },
        'No event told of this; it is mended',
      )
    }
  }
}

function later(left: string, right: string): string {
  return left > right ? left : right
}

/** Whether there is something to fetch, to remove and to hash. */
export function workOf(found: Found): { sync: boolean; remove: boolean; verify: boolean } {
  return {
    sync: foundOf(found, 'row_without_registry') + foundOf(found, 'key_changed') > 0,
    remove: foundOf(found, 'registry_without_row') > 0,
    verify: foundOf(found, 'checksum_unknown') + foundOf(found, 'checksum_changed') > 0,
  }
}
