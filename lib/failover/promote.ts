import type { Knex } from 'knex'
import { compareDigests } from '../blob/digest.ts'
import type { Replicable } from '../blob/replicable.ts'
import { bounded, run } from '../databases.ts'
import { nextEpoch } from '../epoch.ts'
import { GeoError } from '../errors.ts'
import { loadArrivedBelow } from '../event/cursor.ts'
import { type UnprovenRecord, unprovenRecords } from '../registry/unproven.ts'
import type { SiteDirectory } from '../site.ts'
import { listSites, type Site } from '../site-table.ts'
import type { ChecksumPool, ChecksumResult } from '../verification/checksum.ts'
import { hashAgain } from '../verification/damaged.ts'
import { databaseState, type PreflightSources } from './preflight.ts'
import {
  endPromotion,
  insertLosses,
  insertPromotion,
  type LossFinding,
  type NewPromotion,
  writtenSince,
} from './promotion-table.ts'

const PROMOTION_TIMEOUT_S = 60
const MARGIN_S = 10

/**
 * Promotes the database behind `main`, where it is still a replica, and waits until it takes writes, at most `timeoutS` seconds,
 * whatever the host's own limit for statements is. Needs the right to execute `pg_promote`.
 * @throws GeoError `PROMOTION_UNDER_WAY`
 */
export async function promoteDatabase(main: Knex, timeoutS = PROMOTION_TIMEOUT_S): Promise<void> {
  const done = await bounded(
    main,
    async (trx) => {
      const { rows } = await run<{ rows: { done: boolean }[] }>(trx, 'select pg_promote(true, ?) as done', [timeoutS])
      return rows[0]?.done
    },
    { longestStatementMs: (timeoutS + MARGIN_S) * 1000 },
  )
  if (!done) {
    throw new GeoError(
      'PROMOTION_UNDER_WAY',
      `The database is still a replica ${timeoutS} seconds after it was told to end that: it replays what it has received first`,
    )
  }
}

/**
 * Makes this site the primary of a new epoch, in the database that has been promoted, in one transaction: the former primary stays
 * in the table, disabled. Everything else is kept: rows, recorded checksums, files. `horizon`: every transaction below had arrived.
 * `sealed`: it is counted on that the former primary takes no more writes, and all have arrived. `heardEpoch`: the latest that other
 * sites know of. Returns the epoch.
 * @throws GeoError `WOULD_LOSE` where it takes writes again
 */
export async function makePrimary(
  { main, tracking, sites }: Pick<PreflightSources, 'main' | 'tracking' | 'sites'>,
  { horizon, sealed, heardEpoch }: { readonly horizon: string; readonly sealed: boolean; readonly heardEpoch: number },
): Promise<number> {
  const { siteName } = sites
  const { replayedAt } = await databaseState(main)
  // Where nobody saw the database as it was before, there is what this site had read in its turn by then.
  const read = await loadArrivedBelow(tracking, siteName)
  const epoch = await bounded(main, async (trx) => {
    const all = await listSites(trx, { forUpdate: true })
    const me = all.find(({ name }) => name.toLowerCase() === siteName.toLowerCase())
    if (!me) throw new GeoError('SITE_UNKNOWN', `No site is named "${siteName}" in geo_nodes`)
    if (me.primary) throw new GeoError('NOT_SECONDARY', `The site "${siteName}" is the primary already`)
    const former = all.find((site) => site.primary)
    if (sealed && !former?.readOnly?.isSealed) {
      throw new GeoError(
        'WOULD_LOSE',
        `The primary "${former?.name}" has begun to take writes again meanwhile: run this once more`,
      )
    }
    await run(
      trx,
      `update geo_nodes set "primary" = false, enabled = false, fenced_by_epoch = null, fenced_at = null,
         read_only_since = null, read_only_sealed_at = null, read_only_message = null where "primary"`,
    )
    const next = await beginEpoch(trx, me, Math.max(heardEpoch, latestOf(all)), {
      formerSiteName: former?.name ?? null,
      replayedAt,
      sealed,
      arrivedBelow: BigInt(horizon) > BigInt(read) ? horizon : read,
    })
    // All of them came with the replica: their holders work on another database.
    await run(trx, 'update geo_leases set expires_at = clock_timestamp()')
    return next
  })
  await sites.refresh()
  return epoch
}

/**
 * Makes a primary that is fenced the primary of a later epoch: whoever was promoted in its place is lost for good, or was promoted by
 * mistake, and is fenced where it hears of it.
 */
export async function retakePrimary(main: Knex, { siteName }: SiteDirectory, heardEpoch: number): Promise<void> {
  const { horizon } = await databaseState(main)
  await bounded(main, async (trx) => {
    const all = await listSites(trx, { forUpdate: true })
    const me = all.find(({ name, primary }) => primary && name.toLowerCase() === siteName.toLowerCase())
    if (!me) throw new GeoError('NOT_PRIMARY', `"${siteName}" is not the primary site`)
    const lost = { formerSiteName: null, replayedAt: null, sealed: false, arrivedBelow: horizon }
    // It has all that it ever had.
    await endPromotion(trx, await beginEpoch(trx, me, Math.max(heardEpoch, latestOf(all)), lost))
  })
}

/** The site is the primary of the next epoch from the end of the transaction on. Returns that epoch. */
async function beginEpoch(
  trx: Knex.Transaction,
  { id, name }: Site,
  known: number,
  what: Omit<NewPromotion, 'epoch' | 'siteName'>,
): Promise<number> {
  const epoch = nextEpoch(known, id)
  await run(
    trx,
    `update geo_nodes set "primary" = true, enabled = true, epoch = ?, fenced_by_epoch = null, fenced_at = null,
       read_only_since = null, read_only_sealed_at = null, read_only_message = null, updated_at = now() where id = ?`,
    [epoch, id],
  )
  await insertPromotion(trx, { ...what, epoch, siteName: name })
  return epoch
}

function latestOf(all: readonly Site[]): number {
  return Math.max(...all.map((site) => Math.max(site.epoch, site.fencedByEpoch ?? 0)))
}

export interface LookSources extends Omit<PreflightSources, 'clock'> {
  readonly sites: SiteDirectory
  readonly pool: ChecksumPool
}

const RECORDS_AT_ONCE = 100

/**
 * Looks at the files of all records that the registries do not prove, and that were not written since, and notes what is not there or
 * not right: that is what the promotion has lost of what had arrived. What is found so is hashed next by the processes of the site, as
 * they hash any file: it becomes a failure that `geo repair` knows. May be begun anew as often as need be.
 */
export async function lookAtUnproven(
  sources: LookSources,
  epoch: number,
  looked: (records: number) => void = () => undefined,
): Promise<void> {
  let total = 0
  for (const replicable of sources.replicables) {
    for await (const { looked: records, unproven } of unprovenRecords(sources, replicable)) {
      for (let from = 0; from < unproven.length; from += RECORDS_AT_ONCE) {
        await lookAt(sources, epoch, replicable, unproven.slice(from, from + RECORDS_AT_ONCE))
      }
      total += records
      looked(total)
    }
  }
  await endPromotion(sources.main, epoch)
}

async function lookAt(
  { main, pool }: LookSources,
  epoch: number,
  replicable: Replicable,
  records: readonly UnprovenRecord[],
): Promise<void> {
  const results = await hash(pool, replicable, records)
  // Asked after they were hashed: whatever was written before that is the bytes that were there.
  const own = await writtenSince(
    main,
    epoch,
    replicable.name,
    records.map(({ id }) => id),
  )
  const losses = records.flatMap((record) => {
    if (own.has(record.id)) return []
    const loss = lossOf(record, results.get(record.id))
    return loss ? [{ type: replicable.name, id: record.id, key: record.key, ...loss }] : []
  })
  if (losses.length === 0) return
  const lost = losses.filter(({ finding }) => finding !== 'unproven').map(({ id }) => id)
  await bounded(main, async (trx) => {
    await insertLosses(trx, epoch, losses)
    if (lost.length > 0) await hashAgain(trx, replicable, lost)
  })
}

async function hash(
  pool: ChecksumPool,
  replicable: Replicable,
  records: readonly UnprovenRecord[],
): Promise<Map<string, ChecksumResult>> {
  const { root } = replicable.store
  const results = new Map<string, ChecksumResult>()
  let left = records.filter((record) => record.key !== null)
  while (left.length > 0) {
    const tasks = left.map(({ key, recorded }) => ({
      root,
      key: key as string,
      algorithms: [recorded?.algorithm ?? replicable.checksum],
    }))
    const some = await pool.checksumSome(tasks)
    for (const [position, result] of some.entries()) results.set((left[position] as UnprovenRecord).id, result)
    left = left.slice(some.length)
  }
  return results
}

function lossOf(
  { recorded, failure }: UnprovenRecord,
  result: ChecksumResult | undefined,
): { finding: LossFinding; message: string | null } | null {
  if (!result) return { finding: 'unreadable', message: failure }
  if (!result.ok) {
    return { finding: result.code === 'FILE_MISSING' ? 'missing' : 'unreadable', message: result.message }
  }
  const [digest] = result.digests
  if (!recorded || !digest) return { finding: 'unproven', message: 'The former primary had recorded no checksum' }
  if (compareDigests(digest, recorded) === 'equal') return null
  return { finding: 'different', message: `Its checksum is ${digest.hex} instead of ${recorded.hex}` }
}
