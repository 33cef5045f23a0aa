import { type FileHandle, open } from 'node:fs/promises'
import type { Knex } from 'knex'
import { confinedPath } from '../../../blob/confine.ts'
import type { Replicable } from '../../../blob/replicable.ts'
import { wantedRows } from '../../../blob/scope.ts'
import { loadSource } from '../../../blob/source.ts'
import { READ_UNFOLLOWED } from '../../../blob/unfollowed.ts'
import { bounded, run } from '../../../databases.ts'
import { GeoError, messageOf } from '../../../errors.ts'
import { SYNC_STATE } from '../../../registry/sync-state.ts'
import { type Check, noBy, type Outcome, yes } from '../outcome.ts'

const DRAWN_PER_END = 10
/** How many rows of the host are looked at for those that have a file. */
const ROWS_PER_END = 1000

interface DrawnFile {
  readonly id: string
  readonly key: string
}

/** On the primary: the host's `blob` works for some rows, the oldest and the newest, and their files can be read. */
export function filesAreReadable(main: Knex, replicable: Replicable): Check {
  return {
    name: `Files of ${replicable.names.plural} can be read`,
    async ask() {
      const ids = [...new Set([...(await endOf(main, replicable, 'asc')), ...(await endOf(main, replicable, 'desc'))])]
      const drawn = await keysOf(main, replicable, ids)
      if (drawn instanceof GeoError) return noBy(drawn.code, drawn.message)
      return readAll(replicable, drawn, async ({ id, key }) => {
        // A row may go, or get another file, while its file is looked for.
        const now = (await loadSource(main, replicable, [id])).get(id)
        return now?.wanted === true && now.key === key
      })
    },
  }
}

/** On a secondary: copies that the registry says are here. */
export function copiesAreReadable(tracking: Knex, replicable: Replicable): Check {
  const { registryTable: table, foreignKey } = replicable.names
  const here = `state = ${SYNC_STATE.synced} and removal_requested_at is null and lease_id is null and blob_key is not null`
  const draw = async (order: 'asc' | 'desc') => {
    const { rows } = await run<{ rows: DrawnFile[] }>(
      tracking,
      `select ??::text as id, blob_key as key from (select * from ?? order by id ${order} limit ${ROWS_PER_END}) as r
       where ${here} order by r.id ${order} limit ${DRAWN_PER_END}`,
      [foreignKey, table],
    )
    return rows
  }
  return {
    name: `Copies of ${replicable.names.plural} can be read`,
    async ask() {
      const drawn = new Map([...(await draw('asc')), ...(await draw('desc'))].map((file) => [file.id, file]))
      return readAll(replicable, [...drawn.values()], async ({ id, key }) => {
        const { rows } = await run<{ rows: unknown[] }>(
          tracking,
          `select from ?? where ?? = ?::${replicable.keyType} and blob_key = ? and ${here}`,
          [table, foreignKey, id, key],
        )
        return rows.length > 0
      })
    },
  }
}

async function endOf(main: Knex, replicable: Replicable, order: 'asc' | 'desc'): Promise<string[]> {
  const { keyColumn, table, keyType } = replicable
  return bounded(main, async (trx) => {
    const { rows } = await run<{ rows: { keys: string[] }[] }>(
      trx,
      `select array(select ?? from ?? order by ?? ${order} limit ${ROWS_PER_END})::text[] as keys`,
      [keyColumn, table, keyColumn],
    )
    const available = wantedRows(trx, replicable, null)
      .select(trx.raw('?? as id', [keyColumn]))
      .whereRaw(`?? = any(?::${keyType}[])`, [keyColumn, rows[0]?.keys ?? []])
    const found = await run<{ rows: { id: string }[] }>(
      trx,
      `select a.id::text as id from (?) as a order by a.id ${order} limit ${DRAWN_PER_END}`,
      [available],
    )
    return found.rows.map(({ id }) => id)
  })
}

/** Or the first failure of `blob`. */
async function keysOf(main: Knex, replicable: Replicable, ids: readonly string[]): Promise<DrawnFile[] | GeoError> {
  const drawn: DrawnFile[] = []
  for (const { id, key, failure } of (await loadSource(main, replicable, ids)).values()) {
    if (failure) return failure
    if (key !== null) drawn.push({ id, key })
  }
  return drawn
}

async function readAll(
  replicable: Replicable,
  drawn: readonly DrawnFile[],
  isStillSo: (file: DrawnFile) => Promise<boolean>,
): Promise<Outcome> {
  for (const file of drawn) {
    const problem = await problemOf(replicable, file)
    if (problem && (await isStillSo(file))) return noBy(problem.code, `${problem.message} (#${file.id})`)
  }
  return yes(drawn.length === 0 ? 'there is none yet' : `${drawn.length} of ${drawn.length} that were drawn`)
}

async function problemOf({ store }: Replicable, { key }: DrawnFile): Promise<GeoError | null> {
  let file: FileHandle | null = null
  try {
    file = await open(confinedPath(store.root, key), READ_UNFOLLOWED)
    if (!(await file.stat()).isFile()) return new GeoError('NOT_A_FILE', `${JSON.stringify(key)} is not a regular file`)
    await file.read(Buffer.alloc(1), 0, 1, 0)
    return null
  } catch (reason) {
    if (reason instanceof GeoError) return reason
    const isGone = (reason as NodeJS.ErrnoException).code === 'ENOENT'
    return new GeoError(
      isGone ? 'FILE_MISSING' : 'STORAGE_ERROR',
      isGone ? `There is no file at ${store.root}/${key}` : messageOf(reason),
    )
  } finally {
    await file?.close()
  }
}
