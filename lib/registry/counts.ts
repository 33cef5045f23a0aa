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
}

type Counted = { -readonly [Name in keyof RegistryCounts]: number }

const NOT_COUNTED: RegistryCounts = Object.freeze({
  registry: null,
  synced: null,
  failed: null,
  verified: null,
  verificationFailed: null,
  verificationTotal: null,
})

const ROWS_PER_PAGE = 100_000

/** Counts page by page, so that no statement is long on a large registry. For background work: no request may count rows. */
export async function countRegistry(
  tracking: Knex,
  replicable: Replicable,
  { enabled, rowsPerPage = ROWS_PER_PAGE }: { enabled: boolean; rowsPerPage?: number },
): Promise<RegistryCounts> {
  if (!enabled) return NOT_COUNTED
  const total: Counted = { registry: 0, synced: 0, failed: 0, verified: 0, verificationFailed: 0, verificationTotal: 0 }
  for (let after: string | null = '0'; after !== null; ) {
    const { last, ...counted }: Counted & { last: string | null } = await countPage(
      tracking,
      replicable,
      after,
      rowsPerPage,
    )
    for (const name of Object.keys(total) as (keyof Counted)[]) total[name] += counted[name]
    after = last
  }
  return Object.freeze(total)
}

/** The counts of up to `limit` rows after a registry id, and the last id; null at the end. */
async function countPage(
  tracking: Knex,
  { names }: Replicable,
  after: string,
  limit: number,
): Promise<Counted & { last: string | null }> {
  const verified = `state = ${S.synced} and verification_state = ${V.succeeded}`
  const failed = `verification_state = ${V.failed}`
  const counts = {
    registry: 'true',
    synced: `state = ${S.synced}`,
    failed: `state = ${S.failed}`,
    verified,
    verificationFailed: failed,
    verificationTotal: `(state = ${S.synced} and verification_state <> ${V.disabled}) or ${failed}`,
  }
  const columns = Object.entries(counts).map(
    ([name, condition]) => `(count(*) filter (where not leaving and (${condition})))::int as "${name}"`,
  )
  return bounded(tracking, async (trx) => {
    const { rows } = await run<{ rows: (Counted & { last: string | null })[] }>(
      trx,
      `select ${columns.join(', ')}, max(id)::text as last from (
         select id, state, verification_state, removal_requested_at is not null as leaving
         from ?? where id > ?::bigint order by id limit ?) as page`,
      [names.registryTable, after, limit],
    )
    const [page] = rows
    if (!page) throw new Error(`${names.registryTable} could not be counted`)
    return page
  })
}
