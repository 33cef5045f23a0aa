import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { type KeyPage, pageOfKeys } from '../blob/source.ts'
import { bounded } from '../databases.ts'
import {
  deleteUnusedStates,
  insertMissingStates,
  reverifyOldest,
  type WokenPage,
  wakeDisabled,
  wakeDisabledOnPage,
} from './state-upkeep.ts'

const KEYS_PER_PAGE = 1000
const MARKED_AT_ONCE = 1000
const KEYS_LOOKED_AT = 5000

/** Where a pass over a type's keys has come to. */
export interface PassPosition {
  readonly after: string | null
}

/**
 * One page of the comparison of a separate state table with the available rows (GB.B.9): rows without a state get one,
 * states of rows that are not available go. Returns where the next page begins, or null at the end of the pass.
 */
export async function backfillStates(
  main: Knex,
  replicable: Replicable,
  { after }: PassPosition,
): Promise<{ next: PassPosition | null; changed: number }> {
  const page: KeyPage = await pageOfKeys(main, replicable, after, KEYS_PER_PAGE)
  const upTo = page.count < KEYS_PER_PAGE ? null : page.last
  const changed = await bounded(main, async (trx) => {
    const inserted = await insertMissingStates(trx, replicable, page.literal)
    return inserted + (await deleteUnusedStates(trx, replicable, { after, upTo, literal: page.literal }, KEYS_PER_PAGE))
  })
  return { next: upTo === null ? null : { after: upTo }, changed }
}

/**
 * One page of the host's table, where that holds the state itself: records that were disabled because they had no file are hashed
 * if they have one by now, and no event said so.
 */
export function wakeNamed(main: Knex, replicable: Replicable, { after }: PassPosition): Promise<WokenPage> {
  return bounded(main, (trx) => wakeDisabledOnPage(trx, replicable, after, KEYS_LOOKED_AT))
}

/**
 * Asks for the oldest checksums to be calculated again once they are older than the site's interval, and for those that could
 * not be calculated because the record had no file. True: there may be more.
 */
export async function reverifyDue(main: Knex, replicable: Replicable, intervalDays: number): Promise<boolean> {
  const marked = await bounded(main, (trx) => reverifyOldest(trx, replicable, intervalDays, MARKED_AT_ONCE))
  if (replicable.verificationState === 'columns') return marked === MARKED_AT_ONCE
  const woken = await bounded(main, (trx) => wakeDisabled(trx, replicable, MARKED_AT_ONCE))
  return marked === MARKED_AT_ONCE || woken === MARKED_AT_ONCE
}
