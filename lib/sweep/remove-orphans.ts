import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import type { SelectiveSync } from '../blob/selective-sync.ts'
import { loadSource } from '../blob/source.ts'
import { bounded } from '../databases.ts'
import { holdRegistries, keysInRegistries, unsettledIds } from '../registry/orphans.ts'

/** With more rows than this on their way, a file may be any of theirs. */
const MOST_UNSETTLED = 1000

export interface OrphanCheck {
  readonly replica: Knex
  readonly tracking: Knex
  readonly selection: SelectiveSync | null
  /** False: what would be removed is only told. */
  readonly removes: boolean
}

/**
 * Removes those of the files that no registry row of the types in this store names, nor a row whose file is on its way. While
 * that is looked at the registries stand still, so no file becomes somebody's in between. Where the key of such a row
 * cannot be said nothing is removed. Returns the keys and how many went, or why it cannot be told now: the registries are `busy`
 * for a moment, or too many files are `on their way`, which may last.
 */
export function removeOrphans(
  { replica, tracking, selection, removes }: OrphanCheck,
  sharing: readonly Replicable[],
  candidates: readonly string[],
): Promise<{ readonly keys: readonly string[]; readonly removed: number } | 'busy' | 'on their way'> {
  return bounded(tracking, async (trx) => {
    if (!(await holdRegistries(trx, sharing))) return 'busy'
    let sure = removes
    const known = await keysInRegistries(trx, sharing, candidates)
    for (const replicable of sharing) {
      const ids = await unsettledIds(trx, replicable, MOST_UNSETTLED)
      if (ids.length === MOST_UNSETTLED) return 'on their way'
      if (ids.length === 0) continue
      for (const { key, failure } of (await loadSource(replica, replicable, ids, selection)).values()) {
        if (key) known.add(key)
        if (failure) sure = false
      }
    }
    const keys = candidates.filter((key) => !known.has(key))
    const store = sharing[0]?.store
    if (!sure || !store) return { keys, removed: 0 }
    for (const key of keys) await store.remove(key)
    return { keys, removed: keys.length }
  })
}
