import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'

/** The columns of the host's table by which a declaration knows which file a row has. */
export interface ColumnsRead {
  /** In the order in which they are read. */
  readonly columns: readonly string[]
  /** The one that is the key of the file as it stands; null where the key is made of what is read. */
  readonly blobColumn: string | null
}

/**
 * What `blob` and `available` of a declaration read, found by running both: on rows that are not there, and without a database.
 * What they read only for certain values of other columns may be missing. Null where `blob` does not work on such rows.
 */
export function columnsRead(db: Knex, { table, blob, available }: Replicable): ColumnsRead | null {
  const ofBlob = new Set<string>()
  // First as if every column were a text, then as if all were null: for `row.new_path ?? row.old_path`.
  const key = tried(() => blob(recordingRow(ofBlob, textOf)))
  tried(() => blob(recordingRow(ofBlob, () => null)))
  if (key === undefined || ofBlob.size === 0) return null
  const [first = ''] = ofBlob
  const blobColumn = ofBlob.size === 1 && key === textOf(first) ? first : null
  return { columns: [...new Set([...ofBlob, ...columnsOfQuery(available(db(table)))])], blobColumn }
}

/** One that no function leaves as it is which makes something of it: neither trimmed nor in lower case. */
function textOf(column: string): string {
  return ` Of/${column} `
}

/** The declaration of a host may throw what it likes: such rows are not its own. */
function tried<Result>(act: () => Result): Result | undefined {
  try {
    return act()
  } catch (reason) {
    if (reason instanceof Error) return undefined
    throw reason
  }
}

function recordingRow(read: Set<string>, asIf: (column: string) => unknown): object {
  return new Proxy(
    {},
    {
      get(_, property) {
        if (typeof property !== 'string') return undefined
        read.add(property)
        return asIf(property)
      },
    },
  )
}

/** The columns in the conditions of a query: the last of the quoted names that belong together. */
function columnsOfQuery(query: Knex.QueryBuilder): string[] {
  const { sql } = query.toSQL()
  const conditions = sql.includes(' where ') ? sql.slice(sql.indexOf(' where ')) : ''
  return [...conditions.matchAll(/(?:"[^"]+"\.)*"([^"]+)"/g)].flatMap(([, name]) => name ?? [])
}
