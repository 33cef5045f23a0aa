import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import type { SelectiveSync } from '../blob/selective-sync.ts'
import { loadSource } from '../blob/source.ts'
import type { UnnamedRows } from '../blob/unnamed-rows.ts'
import { boundedByPage, run } from '../databases.ts'
import { CHANGED, type ComparedPage, partOfRegistry } from './compare.ts'
import { type Mended, NOTHING_MENDED, noteVersions, type ReadRow, resyncMoved } from './mend.ts'

/** How many rows are asked for at once whose versions differ: two short columns each. */
const CHANGED_AT_ONCE = 2000
/** How many rows of the host are loaded at once, whole: only the host's function can say their keys. */
const ROWS_AT_ONCE = 200

interface Databases {
  readonly replica: Knex
  readonly tracking: Knex
}

interface ChangedRow {
  readonly id: string
  readonly storedKey: string | null
}

/** Looks at the rows of a page that have changed since their key was read, and has those fetched again that name another file. */
export async function compareKeys(
  databases: Databases,
  replicable: Replicable,
  compared: ComparedPage,
  selection: SelectiveSync | null,
  unnamed: UnnamedRows,
): Promise<Mended[]> {
  const moved: Mended[] = []
  for (let { after } = compared, more = true; more; ) {
    const changed = await changedRows(databases.tracking, replicable, { ...compared, after })
    more = changed.length === CHANGED_AT_ONCE
    after = changed.at(-1)?.id ?? null
    for (let from = 0; from < changed.length; from += ROWS_AT_ONCE) {
      const some = changed.slice(from, from + ROWS_AT_ONCE)
      moved.push(await compareSome(databases, replicable, some, selection, unnamed))
    }
  }
  return moved
}

async function compareSome(
  { replica, tracking }: Databases,
  replicable: Replicable,
  changed: readonly ChangedRow[],
  selection: SelectiveSync | null,
  unnamed: UnnamedRows,
): Promise<Mended> {
  const ids = changed.map((row) => row.id)
  const source = await loadSource(replica, replicable, ids, selection)
  const same: ReadRow[] = []
  const other: ReadRow[] = []
  for (const { id, storedKey } of changed) {
    const record = source.get(id)
    // What has left meanwhile is the next pass's to find.
    if (!record?.wanted) continue
    if (record.failure) {
      unnamed.note(record.failure)
      continue
    }
    const row = { id, storedKey, version: record.version }
    if (record.key === storedKey) same.push(row)
    else other.push(row)
  }
  if (same.length > 0) await noteVersions(tracking, replicable, same)
  return other.length > 0 ? resyncMoved(tracking, replicable, other) : NOTHING_MENDED
}

async function changedRows(db: Knex, replicable: Replicable, compared: ComparedPage): Promise<ChangedRow[]> {
  const { page } = compared
  // Within the range, or the planner might walk the registry from its beginning.
  const part = partOfRegistry(replicable, compared)
  const { rows } = await boundedByPage(db, (trx) =>
    run<{ rows: ChangedRow[] }>(
      trx,
      `select p.id::text as id, r.blob_key as "storedKey"
       from unnest(?::${replicable.keyType}[], ?::bigint[]) as p(id, version) join (select r.* ${part.sql}) as r on r.?? = p.id
       where ${CHANGED} order by p.id limit ${CHANGED_AT_ONCE}`,
      [page.keys, page.versions, ...part.bindings, replicable.names.foreignKey],
    ),
  )
  return rows
}
