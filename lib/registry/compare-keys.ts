import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import type { SelectiveSync } from '../blob/selective-sync.ts'
import { loadSource } from '../blob/source.ts'
import { run } from '../databases.ts'
import { CHANGED, type ComparedPage, partOfRegistry } from './compare.ts'
import { type Mended, noteVersions, type ReadRow, resyncMoved } from './mend.ts'

/** How many rows of the host are loaded at once: only the host's function can say their keys. */
const ROWS_AT_ONCE = 200

/** Looks at the rows of a page that have changed since their key was read, and has those fetched again that name another file. */
export async function compareKeys(
  { replica, tracking }: { readonly replica: Knex; readonly tracking: Knex },
  replicable: Replicable,
  compared: ComparedPage,
  selection: SelectiveSync | null,
): Promise<Mended[]> {
  const moved: Mended[] = []
  for (let { after } = compared, more = true; more; ) {
    const changed = await changedRows(tracking, replicable, { ...compared, after })
    more = changed.length === ROWS_AT_ONCE
    after = changed.at(-1)?.id ?? null
    if (changed.length === 0) break
    const source = await loadSource(
      replica,
      replicable,
      changed.map((row) => row.id),
      selection,
    )
    const same: ReadRow[] = []
    const other: ReadRow[] = []
    for (const { id, storedKey } of changed) {
      const record = source.get(id)
      // What has left meanwhile is the next pass's to find.
      if (!record?.wanted) continue
      const row = { id, storedKey, version: record.version }
      if (record.key === storedKey) same.push(row)
      else other.push(row)
    }
    if (same.length > 0) await noteVersions(tracking, replicable, same)
    if (other.length > 0) moved.push(await resyncMoved(tracking, replicable, other))
  }
  return moved
}

async function changedRows(
  db: Knex,
  replicable: Replicable,
  compared: ComparedPage,
): Promise<{ id: string; storedKey: string | null }[]> {
  const { page } = compared
  // Within the range, or the planner might walk the registry from its beginning.
  const part = partOfRegistry(replicable, compared)
  const { rows } = await run<{ rows: { id: string; storedKey: string | null }[] }>(
    db,
    `select p.id::text as id, r.blob_key as "storedKey"
     from unnest(?::${replicable.keyType}[], ?::bigint[]) as p(id, version) join (select r.* ${part.sql}) as r on r.?? = p.id
     where ${CHANGED} order by p.id limit ${ROWS_AT_ONCE}`,
    [page.keys, page.versions, ...part.bindings, replicable.names.foreignKey],
  )
  return rows
}
