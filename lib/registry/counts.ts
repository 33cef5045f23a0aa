import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { bounded, run } from '../databases.ts'
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

type Counted = { -readonly [Name in keyof RegistryCounts]: number }

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

const ROWS_PER_PAGE = 100_000

/** Counts page by page, so that no statement is long on a large registry. For background work: no request may count rows. */
export async function countRegistry(
  tracking: Knex,
  replicable: Replicable,
  { enabled, rowsPerPage = ROWS_PER_PAGE }: { enabled: boolean; rowsPerPage?: number },
): Promise<RegistryCounts> {
  if (!enabled) return NOT_COUNTED
  const total: Counted = {
    registry: 0,
    synced: 0,
    failed: 0,
    verified: 0,
    verificationFailed: 0,
    verificationTotal: 0,
    inFlight: 0,
    syncedBytes: 0,
    unsyncedBytes: 0,
    unsyncedOfKnownSize: 0,
    oldestUnsyncedSeconds: Number.NEGATIVE_INFINITY,
  }
  for (let after: string | null = '0'; after !== null; ) {
    const { last, ...counted }: CountedPage = await countPage(tracking, replicable, after, rowsPerPage)
    for (const name of Object.keys(total) as (keyof Counted)[]) {
      const page = counted[name]
      if (page === null) continue
      total[name] = name === 'oldestUnsyncedSeconds' ? Math.max(total[name], page) : total[name] + page
    }
    after = last
  }
  const { oldestUnsyncedSeconds: oldest } = total
  return Object.freeze({ ...total, oldestUnsyncedSeconds: Number.isFinite(oldest) ? oldest : null })
}

type CountedPage = { [Name in keyof Counted]: number | null } & { last: string | null }

/** The counts of up to `limit` rows after a registry id, and the last id; null at the end. */
async function countPage(tracking: Knex, { names }: Replicable, after: string, limit: number): Promise<CountedPage> {
  const verified = `state = ${S.synced} and verification_state = ${V.succeeded}`
  const failed = `verification_state = ${V.failed}`
  const counts = {
    registry: 'true',
    synced: `state = ${S.synced}`,
    failed: `state = ${S.failed}`,
    verified,
    verificationFailed: failed,
    verificationTotal: `(state = ${S.synced} and verification_state <> ${V.disabled}) or ${failed}`,
    inFlight: `state = ${S.started}`,
    unsyncedOfKnownSize: `state <> ${S.synced} and bytes is not null`,
  }
  const bytesOf = (condition: string, name: string) =>
    `coalesce(sum(bytes) filter (where not leaving and ${condition}), 0)::float8 as "${name}"`
  const columns = Object.entries(counts).map(
    ([name, condition]) => `(count(*) filter (where not leaving and (${condition})))::int as "${name}"`,
  )
  columns.push(
    bytesOf(`state = ${S.synced}`, 'syncedBytes'),
    bytesOf(`state <> ${S.synced}`, 'unsyncedBytes'),
    `extract(epoch from clock_timestamp() - min(told_at) filter (where not leaving and state <> ${S.synced}))::float8
       as "oldestUnsyncedSeconds"`,
  )
  return bounded(tracking, async (trx) => {
    const { rows } = await run<{ rows: CountedPage[] }>(
      trx,
      `select ${columns.join(', ')}, max(id)::text as last from (
         select id, state, verification_state, bytes, coalesce(announced_at, created_at) as told_at,
           removal_requested_at is not null as leaving
         from ?? where id > ?::bigint order by id limit ?) as page`,
      [names.registryTable, after, limit],
    )
    const [page] = rows
    if (!page) throw new Error(`${names.registryTable} could not be counted`)
    return page
  })
}
