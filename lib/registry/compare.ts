import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { type KeyRange, rowHash, type SourcePage, type Summary } from '../blob/source-page.ts'
import { run } from '../databases.ts'
import { VERIFICATION_STATE as V } from '../verification/verification-state.ts'
import { SYNC_STATE } from './sync-state.ts'

/** A page of the host's rows beside the part of the registry that it covers. */
export interface ComparedPage extends KeyRange {
  readonly page: SourcePage
  /** The moment before the page was read: a registry row that is younger says nothing. Of the database. */
  readonly asOf: string
}

/** How many rows of a page differ in each way. */
export interface Differences {
  readonly missing: number
  readonly unused: number
  /** Rows that are to be removed although they are on the page. */
  readonly returned: number
  readonly unverified: number
  /** Rows that have changed since their key was read. */
  readonly changed: number
}

/** A registry row `r` whose copy was not compared with the checksum of the page row `p`, or with another one. */
export const UNVERIFIED = `r.state = ${SYNC_STATE.synced} and r.removal_requested_at is null and p.checksum is not null
  and (r.verification_state = ${V.disabled}
    or (r.verification_state = ${V.succeeded} and r.verification_checksum is distinct from p.checksum))`

/** A registry row `r` whose host's row, the page row `p`, has changed since the key of the copy was read from it. */
export const CHANGED = `r.state = ${SYNC_STATE.synced} and r.removal_requested_at is null
  and r.row_version is distinct from p.version`

/** A registry row `r` that no row of the page names. */
export const UNUSED = `p.id is null and r.removal_requested_at is null and r.created_at < ?::timestamp at time zone 'UTC'`

/** The registry rows that belong to a page, as `from ?? r where …`, and what is bound. */
export function partOfRegistry(
  { names, keyType }: Replicable,
  { after, upTo }: KeyRange,
): { sql: string; bindings: (string | null)[] } {
  const bounds = [
    { bound: after, sql: `r.?? > ?::${keyType}` },
    { bound: upTo, sql: `r.?? <= ?::${keyType}` },
  ].filter(({ bound }) => bound !== null)
  return {
    sql: ['from ?? r where true', ...bounds.map(({ sql }) => sql)].join(' and '),
    bindings: [names.registryTable, ...bounds.flatMap(({ bound }) => [names.foreignKey, bound])],
  }
}

/**
 * The summary that the host's rows have too if every one of them has its copy, of that version, and verified by that checksum
 * where there is one. What differs is found by differencesOf.
 */
export async function summaryOfRegistry(db: Knex, replicable: Replicable, range: KeyRange): Promise<Summary> {
  const part = partOfRegistry(replicable, range)
  const verifiedBy = `case when r.verification_state = ${V.succeeded} then r.verification_checksum end`
  const { rows } = await run<{ rows: Summary[] }>(
    db,
    `select count(*)::int as count, bit_xor(${rowHash('r.??', 'r.row_version', verifiedBy)})
       filter (where r.state = ${SYNC_STATE.synced} and r.removal_requested_at is null)::text as hash ${part.sql}`,
    [replicable.names.foreignKey, ...part.bindings],
  )
  return rows[0] ?? { count: 0, hash: null }
}

/** One statement that changes nothing. */
export async function differencesOf(db: Knex, replicable: Replicable, compared: ComparedPage): Promise<Differences> {
  const { page, asOf } = compared
  const part = partOfRegistry(replicable, compared)
  const count = (condition: string, name: string) => `(count(*) filter (where ${condition}))::int as "${name}"`
  const { rows } = await run<{ rows: Differences[] }>(
    db,
    `select ${count('r.id is null', 'missing')}, ${count(UNUSED, 'unused')},
       ${count('p.id is not null and r.removal_requested_at is not null', 'returned')},
       ${count(UNVERIFIED, 'unverified')}, ${count(`p.id is not null and ${CHANGED}`, 'changed')}
     from unnest(?::${replicable.keyType}[], ?::bigint[], ?::bytea[]) as p(id, version, checksum)
     full join (select r.* ${part.sql}) as r on r.?? = p.id`,
    [asOf, page.keys, page.versions, page.checksums, ...part.bindings, replicable.names.foreignKey],
  )
  const [differences] = rows
  if (!differences) throw new Error('An aggregate returned no row')
  return differences
}
