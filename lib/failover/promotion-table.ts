import type { Knex } from 'knex'
import { run } from '../databases.ts'
import { isoTime } from '../iso-time.ts'
import type { Promotion } from '../transfer/epoch-word.ts'

/** The doors to geo_promotions and geo_promotion_losses: who became the primary when, and what was lost of what had arrived. */

/** What was found where the file of a record should be that its registry did not call verified. */
export type LossFinding = 'missing' | 'different' | 'unproven' | 'unreadable'

export interface Loss {
  readonly type: string
  readonly id: string
  /** Null where the row does not say. */
  readonly key: string | null
  /**
   * `missing`, or `different` from what the former primary had recorded: lost here. `unproven`: it is there, and nothing was
   * recorded to tell by. `unreadable`: see the message.
   */
  readonly finding: LossFinding
  readonly message: string | null
}

const COLUMNS = `epoch, site_name as "siteName", former_site_name as "formerSiteName", ${isoTime('promoted_at')} as "promotedAt",
  ${isoTime('replayed_at')} as "replayedAt", sealed, arrived_below::text as "arrivedBelow",
  arrived_xact_ids::text[] as "arrivedXactIds"`

/** The promotions of later epochs, the first of them first. */
export async function promotionsAfter(db: Knex, epoch: number): Promise<Promotion[]> {
  const { rows } = await run<{ rows: Promotion[] }>(
    db,
    `select ${COLUMNS} from geo_promotions where epoch > ? order by epoch`,
    [epoch],
  )
  return rows
}

/** The last promotion, and whether all that it left to be looked at has been. */
export async function lastPromotion(db: Knex): Promise<(Promotion & { readonly ended: boolean }) | null> {
  const { rows } = await run<{ rows: (Promotion & { ended: boolean })[] }>(
    db,
    `select ${COLUMNS}, ended_at is not null as ended from geo_promotions order by geo_promotions.epoch desc limit 1`,
  )
  return rows[0] ?? null
}

export type NewPromotion = Pick<
  Promotion,
  'epoch' | 'siteName' | 'formerSiteName' | 'replayedAt' | 'sealed' | 'arrivedBelow'
>

/**
 * Notes a promotion in the transaction that makes it. Of the transactions that are not below `arrivedBelow` those have arrived
 * whose events are there now.
 */
export async function insertPromotion(trx: Knex.Transaction, promotion: NewPromotion): Promise<void> {
  const { epoch, siteName, formerSiteName, replayedAt, sealed, arrivedBelow } = promotion
  await run(
    trx,
    `insert into geo_promotions (epoch, site_name, former_site_name, replayed_at, sealed, arrived_below, arrived_xact_ids)
     values (?, ?, ?, ?::timestamptz, ?, ?::xid8,
       array(select distinct xact_id from geo_events where xact_id >= ?::xid8 order by xact_id))`,
    [epoch, siteName, formerSiteName, replayedAt, sealed, arrivedBelow, arrivedBelow],
  )
}

/** Those of the records that have been written since the promotion: their files are this site's own. */
export async function writtenSince(
  db: Knex,
  epoch: number,
  replicableName: string,
  ids: readonly string[],
): Promise<ReadonlySet<string>> {
  const { rows } = await run<{ rows: { id: string }[] }>(
    db,
    `select distinct payload ->> 'model_record_id' as id from geo_events
     where xact_id > (select p.xact_id from geo_promotions p where p.epoch = ?) and replicable_name = ?
       and event_name in ('created', 'updated') and payload ->> 'model_record_id' = any(?::text[])`,
    [epoch, replicableName, ids],
  )
  return new Set(rows.map(({ id }) => id))
}

export async function insertLosses(trx: Knex, epoch: number, losses: readonly Loss[]): Promise<void> {
  await run(
    trx,
    `insert into geo_promotion_losses (epoch, replicable_name, record_id, blob_key, finding, message)
     select ?, l.* from unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::text[]) as l
     on conflict (epoch, replicable_name, record_id) do update
       set blob_key = excluded.blob_key, finding = excluded.finding, message = excluded.message`,
    [
      epoch,
      losses.map(({ type }) => type),
      losses.map(({ id }) => id),
      losses.map(({ key }) => key),
      losses.map(({ finding }) => finding),
      losses.map(({ message }) => message),
    ],
  )
}

export async function endPromotion(db: Knex, epoch: number): Promise<void> {
  await run(db, 'update geo_promotions set ended_at = clock_timestamp() where epoch = ? and ended_at is null', [epoch])
}

const LOSS_COLUMNS = 'replicable_name as "type", record_id as "id", blob_key as "key", finding, message'
const LOSS_ORDER = 'replicable_name, length(record_id), record_id'

export interface LossesInPart {
  readonly first: readonly Loss[]
  /** Both are of the first `countUpTo` only. */
  readonly lost: number
  readonly unproven: number
}

/** The first of them, and how many there are, all or up to a number. */
export async function firstLosses(
  db: Knex,
  epoch: number,
  { limit, countUpTo = null }: { readonly limit: number; readonly countUpTo?: number | null },
): Promise<LossesInPart> {
  const { rows: first } = await run<{ rows: Loss[] }>(
    db,
    `select ${LOSS_COLUMNS} from geo_promotion_losses where epoch = ? order by ${LOSS_ORDER} limit ?`,
    [epoch, limit],
  )
  const { rows } = await run<{ rows: Pick<LossesInPart, 'lost' | 'unproven'>[] }>(
    db,
    `select count(*) filter (where finding <> 'unproven')::int as "lost", count(*) filter (where finding = 'unproven')::int as "unproven"
     from (select finding from geo_promotion_losses where epoch = ? limit ?) as l`,
    [epoch, countUpTo],
  )
  return { first, ...(rows[0] ?? { lost: 0, unproven: 0 }) }
}
