import type { Knex } from 'knex'
import { type Digest, decodeDigest } from '../blob/digest.ts'
import type { Replicable } from '../blob/replicable.ts'
import { loadSource } from '../blob/source.ts'
import { endOfPage, pageOfSource } from '../blob/source-page.ts'
import { boundedByPage, run } from '../databases.ts'
import { VERIFICATION_STATE as V } from '../verification/verification-state.ts'
import { partOfRegistry } from './compare.ts'
import { SYNC_STATE } from './sync-state.ts'

/** A record of the host with a file that this secondary has not proven to be here, and right. */
export interface UnprovenRecord {
  readonly id: string
  /** Where its file belongs; null where the row does not say, see `failure`. */
  readonly key: string | null
  /** What the primary has recorded to tell the right bytes by; null where nothing. */
  readonly recorded: Digest | null
  /** How far this site is with it. `unknown`: it has not heard of it. `outdated`: the row has got another file since. */
  readonly state: 'unknown' | 'not synced' | 'not verified' | 'outdated'
  /** Why, as far as the registry or the row says. */
  readonly failure: string | null
}

export interface UnprovenPage {
  /** How many records with a file the page has. */
  readonly looked: number
  readonly unproven: readonly UnprovenRecord[]
}

const KEYS_PER_PAGE = 5000
const ROWS_AT_ONCE = 500

// The copy is as the row says, verified, and by the checksum that the primary has recorded.
const SYNCED = `r.state = ${SYNC_STATE.synced} and r.removal_requested_at is null`
const VERIFIED = `${SYNCED} and r.verification_state = ${V.succeeded} and r.verification_checksum = p.checksum`

interface Candidate {
  readonly id: string
  readonly checksum: Buffer | null
  readonly storedKey: string | null
  readonly known: boolean
  readonly synced: boolean
  readonly verified: boolean
  readonly failure: string | null
}

/**
 * Every record with a file, whatever this site was to hold of them, page by page in key order. Only what is in the two databases is
 * compared: nothing is hashed.
 */
export async function* unprovenRecords(
  { main, tracking }: { readonly main: Knex; readonly tracking: Knex },
  replicable: Replicable,
): AsyncGenerator<UnprovenPage> {
  for (let after: string | null = null; ; ) {
    const upTo: string | null = await endOfPage(main, replicable, after, KEYS_PER_PAGE, null)
    const range = { after, upTo }
    const page = await pageOfSource(main, replicable, range, null)
    const part = partOfRegistry(replicable, range)
    const { rows } = await boundedByPage(tracking, (trx) =>
      run<{
        rows: { looked: number; candidates: (Omit<Candidate, 'checksum'> & { checksum: string | null })[] }[]
      }>(
        trx,
        `with compared as materialized (
         select p.id, p.checksum, r.blob_key as "storedKey", r.?? is not null as known, (${SYNCED}) is true as synced,
           (${VERIFIED}) is true as verified, r.row_version is not distinct from p.version as same,
           coalesce(r.verification_failure, r.last_sync_failure) as failure
         from unnest(?::${replicable.keyType}[], ?::bigint[], ?::bytea[]) as p(id, version, checksum)
         left join (select r.* ${part.sql}) as r on r.?? = p.id
       )
       select (select count(*)::int from compared) as looked, coalesce((
         select json_agg(json_build_object('id', id::text, 'checksum', encode(checksum, 'hex'), 'storedKey', "storedKey", 'known', known,
           'synced', synced, 'verified', verified, 'failure', failure) order by id)
         from compared where not (verified and same)), '[]') as candidates`,
        [
          replicable.names.foreignKey,
          page.keys,
          page.versions,
          page.checksums,
          ...part.bindings,
          replicable.names.foreignKey,
        ],
      ),
    )
    const { looked = 0, candidates = [] } = rows[0] ?? {}
    const unproven: UnprovenRecord[] = []
    for (let from = 0; from < candidates.length; from += ROWS_AT_ONCE) {
      const some = candidates.slice(from, from + ROWS_AT_ONCE).map(({ checksum, ...rest }) => ({
        ...rest,
        checksum: checksum === null ? null : Buffer.from(checksum, 'hex'),
      }))
      unproven.push(...(await judge(main, replicable, some)))
    }
    yield { looked, unproven }
    if (upTo === null) return
    after = upTo
  }
}

/** A row that has changed may still name the file that is here. */
async function judge(main: Knex, replicable: Replicable, candidates: readonly Candidate[]): Promise<UnprovenRecord[]> {
  const source = await loadSource(
    main,
    replicable,
    candidates.map(({ id }) => id),
  )
  return candidates.flatMap(({ id, checksum, storedKey, known, synced, verified, failure }) => {
    const record = source.get(id)
    // It has gone, or lost its file, meanwhile.
    if (!record?.wanted) return []
    const recorded = decodeDigest(checksum)
    if (record.failure) return [{ id, key: null, recorded, state: 'not verified', failure: record.failure.message }]
    const { key } = record
    if (key === storedKey && verified) return []
    const state = !known ? 'unknown' : key !== storedKey && synced ? 'outdated' : synced ? 'not verified' : 'not synced'
    return [{ id, key, recorded, state, failure }]
  })
}
