import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import type { SelectiveSync } from '../blob/selective-sync.ts'
import { endOfPage, type KeyRange, pageOfSource, summaryOfSource } from '../blob/source-page.ts'
import type { UnnamedRows } from '../blob/unnamed-rows.ts'
import { type ComparedPage, differencesOf, summaryOfRegistry } from './compare.ts'
import { compareKeys } from './compare-keys.ts'
import type { DriftKind } from './drift.ts'
import { insertMissing, type Mended, removeUnused, wakeUnverified } from './mend.ts'
import { cancelRemovals, type Returned } from './registry.ts'

export const KEYS_PER_PAGE = 10_000

export interface PageQuery {
  /** The key after which the page begins; null at the beginning. */
  readonly after: string | null
  readonly selection: SelectiveSync | null
  /** The moment now, of the tracking database. */
  readonly asOf: string
  /** Where the rows of the page are noted whose keys the host could not say: their copies stay as they are. */
  readonly unnamed: UnnamedRows
}

/** What was found on a page and mended, each kind with the records it was found on. */
export type Found = ReadonlyMap<DriftKind, readonly Mended[]>

export interface PageOutcome {
  /** The key after which the next page begins; null at the end of the pass. */
  readonly next: string | null
  readonly found: Found
  /** Rows that were to be removed and are there (again). No event would have told of them. */
  readonly returned: readonly Returned[]
}

/**
 * Compares one page of the rows that this site holds files of with the registry, both ways (GB.D.2), by keys and by checksums:
 * whatever no event has told, however it came, is mended here. A row without a registry row gets a pending one, a registry row
 * without its row is asked to go, a copy under another key is fetched again, and one that was not compared with the checksum
 * which the primary has now is hashed again. What has failed is left to its retries. Works for any key type, for pages are
 * walked in key order.
 */
export async function reconcilePage(
  databases: { readonly replica: Knex; readonly tracking: Knex },
  replicable: Replicable,
  { after, selection, asOf, unnamed }: PageQuery,
): Promise<PageOutcome> {
  const { replica, tracking } = databases
  // The last page reaches to the end of the key space: whatever the registry has beyond its last row is unused.
  const upTo = await endOfPage(replica, replicable, after, KEYS_PER_PAGE, selection)
  const range: KeyRange = { after, upTo }
  const found = new Map<DriftKind, readonly Mended[]>()
  let returned: readonly Returned[] = []
  if (await isInStep(databases, replicable, range, selection)) return { next: upTo, found, returned }
  const page = await pageOfSource(replica, replicable, range, selection)
  const compared: ComparedPage = { page, ...range, asOf }
  const differences = await differencesOf(tracking, replicable, compared)
  if (differences.missing > 0) found.set('row_without_registry', [await insertMissing(tracking, replicable, compared)])
  if (differences.returned > 0) returned = await cancelRemovals(tracking, replicable, page.keys)
  if (differences.unused > 0) found.set('registry_without_row', await removeAllUnused(tracking, replicable, compared))
  if (differences.unverified > 0) {
    found.set('checksum_unknown', [await wakeUnverified(tracking, replicable, compared, 'disabled')])
    found.set('checksum_changed', [await wakeUnverified(tracking, replicable, compared, 'succeeded')])
  }
  if (differences.changed > 0) {
    found.set('key_changed', await compareKeys(databases, replicable, compared, selection, unnamed))
  }
  return { next: upTo, found, returned }
}

/** Two servers add up the same at the same time: a page in step costs no more, and no row of it comes here. */
async function isInStep(
  { replica, tracking }: { readonly replica: Knex; readonly tracking: Knex },
  replicable: Replicable,
  range: KeyRange,
  selection: SelectiveSync | null,
): Promise<boolean> {
  const [theirs, ours] = await Promise.all([
    summaryOfSource(replica, replicable, range, selection),
    summaryOfRegistry(tracking, replicable, range),
  ])
  return theirs.count === ours.count && theirs.hash === ours.hash
}

async function removeAllUnused(tracking: Knex, replicable: Replicable, compared: ComparedPage): Promise<Mended[]> {
  const asked: Mended[] = []
  for (let count = KEYS_PER_PAGE; count === KEYS_PER_PAGE; ) {
    const some = await removeUnused(tracking, replicable, compared, KEYS_PER_PAGE)
    asked.push(some)
    count = some.count
  }
  return asked
}

/** How many records a kind was found on. */
export function foundOf(found: Found, kind: DriftKind): number {
  return (found.get(kind) ?? []).reduce((total, { count }) => total + count, 0)
}
