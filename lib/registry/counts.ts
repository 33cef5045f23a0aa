import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { type BlockRange, walkBlocks } from '../block-walk.ts'
import { run } from '../databases.ts'
import { VERIFICATION_STATE as V } from '../verification/verification-state.ts'
import { SYNC_STATE as S } from './sync-state.ts'

/** How many rows a secondary's registry of a type has; all null while the type is off (GB.N.2). */
export interface RegistryCounts {
  /** Rows whose removal is not asked for: what the others are parts of. */
  readonly registry: number | null
  readonly synced: number | null
  readonly failed: number | null
  readonly verified: number | null
  /** Those that failed last time, also while they are fetched again: GB.B.10 loses sight of them at that moment. */
  readonly verificationFailed: number | null
  /** What is or was verified, the part of the registry that the former two are parts of. */
  readonly verificationTotal: number | null
  /** Rows that are being fetched. */
  readonly inFlight: number | null
  readonly syncedBytes: number | null
  /** Of rows that are not synced, as far as an attempt has learnt their size. */
  readonly unsyncedBytes: number | null
  readonly unsyncedOfKnownSize: number | null
  /** Seconds since the oldest row that is not synced was told of, or was found; null also where there is none. */
  readonly oldestUnsyncedSeconds: number | null
}

const NOT_COUNTED: RegistryCounts = Object.freeze({
  registry: null,
  synced: null,
  failed: null,
  verified: null,
  verificationFailed: null,
  verificationTotal: null,
  inFlight: null,
  syncedBytes: null,
  unsyncedBytes: null,
  unsyncedOfKnownSize: null,
  oldestUnsyncedSeconds: null,
})

/** Rows alike in both states, of one page. */
interface Group {
  readonly state: number
  readonly verificationState: number
  readonly rows: number
  readonly rowsOfKnownSize: number
  readonly bytes: number
  readonly oldestSeconds: number
}

/** Counts page by page, so that no statement is long on a large registry. For background work: no request may count rows. */
export async function countRegistry(
  tracking: Knex,
  replicable: Replicable,
  { enabled, ...pages }: { enabled: boolean; blocksPerPage?: number },
): Promise<RegistryCounts> {
  if (!enabled) return NOT_COUNTED
  const groups: Group[] = []
  const { registryTable } = replicable.names
  await walkBlocks(
    tracking,
    registryTable,
    async (trx, range) => void groups.push(...(await loadGroups(trx, registryTable, range))),
    pages,
  )
  const sum = (wanted: (group: Group) => boolean, number: keyof Group = 'rows') =>
    groups.filter(wanted).reduce((total, group) => total + group[number], 0)
  const isSynced = ({ state }: Group) => state === S.synced
  const isUnsynced = (group: Group) => !isSynced(group)
  const hasFailed = ({ verificationState }: Group) => verificationState === V.failed
  const oldest = Math.max(...groups.filter(isUnsynced).map(({ oldestSeconds }) => oldestSeconds))
  return Object.freeze({
    registry: sum(() => true),
    synced: sum(isSynced),
    failed: sum(({ state }) => state === S.failed),
    verified: sum((group) => isSynced(group) && group.verificationState === V.succeeded),
    verificationFailed: sum(hasFailed),
    verificationTotal: sum((group) => (isSynced(group) && group.verificationState !== V.disabled) || hasFailed(group)),
    inFlight: sum(({ state }) => state === S.started),
    syncedBytes: sum(isSynced, 'bytes'),
    unsyncedBytes: sum(isUnsynced, 'bytes'),
    unsyncedOfKnownSize: sum(isUnsynced, 'rowsOfKnownSize'),
    oldestUnsyncedSeconds: Number.isFinite(oldest) ? oldest : null,
  })
}

/** Whose removal is asked for counts no more. Grouping costs half of what a condition for each number does. */
async function loadGroups(trx: Knex.Transaction, table: string, range: BlockRange): Promise<Group[]> {
  const { rows } = await run<{ rows: Group[] }>(
    trx,
    `select state, verification_state as "verificationState", count(*)::int as rows, count(bytes)::int as "rowsOfKnownSize",
       coalesce(sum(bytes), 0)::float8 as bytes,
       extract(epoch from clock_timestamp() - min(coalesce(announced_at, created_at)))::float8 as "oldestSeconds"
     from ?? where removal_requested_at is null and ctid >= ?::tid and ctid < ?::tid
     group by state, verification_state`,
    [table, ...range],
  )
  return rows
}
