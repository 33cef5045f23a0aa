import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import type { SelectiveSync } from '../blob/selective-sync.ts'
import { pageOfKeys } from '../blob/source.ts'
import { insertUntracked, removeUnused } from './registry.ts'

const KEYS_PER_PAGE = 10_000

export interface PageOutcome {
  /** The key after which the next page begins; null at the end of the pass. */
  readonly next: string | null
  readonly added: number
  readonly removed: number
}

/**
 * Compares one page of the rows that this site holds files of with the registry, both ways (GB.D.2): a row without a registry row gets a pending
 * one, a registry row without its row is asked to go. Works for any key type, for pages are walked in key order.
 */
export async function reconcilePage(
  replica: Knex,
  tracking: Knex,
  replicable: Replicable,
  after: string | null,
  selection: SelectiveSync | null,
): Promise<PageOutcome> {
  const page = await pageOfKeys(replica, replicable, after, KEYS_PER_PAGE, selection)
  // A page that is not full reaches to the end of the table: whatever the registry has beyond is unused.
  const upTo = page.count < KEYS_PER_PAGE ? null : page.last
  const added = page.count > 0 ? await insertUntracked(tracking, replicable, page.literal) : 0
  let removed = 0
  for (let batch = KEYS_PER_PAGE; batch === KEYS_PER_PAGE; removed += batch) {
    batch = await removeUnused(tracking, replicable, { after, upTo, literal: page.literal }, KEYS_PER_PAGE)
  }
  return { next: upTo, added, removed }
}
