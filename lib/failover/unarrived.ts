import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { loadSource } from '../blob/source.ts'
import { bounded, run } from '../databases.ts'
import { isoTime } from '../iso-time.ts'
import type { Promotion } from '../transfer/epoch-word.ts'

/** A record that the former primary wrote, and of which the new one has not heard the last. */
export interface UnarrivedRecord {
  readonly type: string
  readonly id: string
  /** What happened to it last: a `deleted` one is there again. */
  readonly event: 'created' | 'updated' | 'deleted'
  /** ISO 8601. */
  readonly at: string
  /** Where its file lies in the store of this site; null where that cannot be said. */
  readonly key: string | null
}

export interface Unarrived {
  readonly records: readonly UnarrivedRecord[]
  /** Events of that time have been pruned here: there may be more. */
  readonly incomplete: boolean
}

const ROWS_AT_ONCE = 500

interface Written extends Omit<UnarrivedRecord, 'key'> {
  readonly deletedKey: string | null
}

/** As unarrivedRecords, by what any of several says of one promotion. */
export async function unarrivedAtAny(
  main: Knex,
  replicables: ReadonlyMap<string, Replicable>,
  siteName: string,
  said: readonly Arrived[],
): Promise<Unarrived> {
  const records = new Map<string, UnarrivedRecord>()
  let incomplete = false
  for (const arrived of said) {
    const unarrived = await unarrivedRecords(main, replicables, siteName, arrived)
    for (const record of unarrived.records) records.set(`${record.type}/${record.id}`, record)
    incomplete ||= unarrived.incomplete
  }
  return { records: [...records.values()], incomplete }
}

type Arrived = Pick<Promotion, 'arrivedBelow' | 'arrivedXactIds' | 'formerSiteName'>

/**
 * On the database of the former primary, as it was left: the records with events in transactions that had not arrived when the
 * other site was promoted, in the order of their last. Where that one did not take the place of this site, but both were promoted
 * without knowing of each other, that is all that this site wrote since its own promotion.
 */
async function unarrivedRecords(
  main: Knex,
  replicables: ReadonlyMap<string, Replicable>,
  siteName: string,
  { arrivedBelow, arrivedXactIds, formerSiteName }: Arrived,
): Promise<Unarrived> {
  const tookItsPlace = formerSiteName?.toLowerCase() === siteName.toLowerCase()
  const { rows, incomplete } = await bounded(main, async (trx) => {
    const { rows } = await run<{ rows: Written[] }>(
      trx,
      `with newest as (
         select distinct on (replicable_name, payload ->> 'model_record_id') replicable_name, payload, event_name, created_at, xact_id, id
         from geo_events
         where event_name <> 'checksum_succeeded' and (xact_id >= ?::xid8 and xact_id <> all(?::xid8[])
           or ?::boolean and xact_id > (select max(p.xact_id) from geo_promotions p where lower(p.site_name) = lower(?)))
         order by replicable_name, payload ->> 'model_record_id', xact_id desc, id desc
       )
       select replicable_name as "type", payload ->> 'model_record_id' as "id", event_name as "event",
         payload ->> 'blob_path' as "deletedKey",
         ${isoTime('created_at')} as "at"
       from newest order by xact_id, newest.id`,
      [arrivedBelow, arrivedXactIds, !tookItsPlace, siteName],
    )
    const { rows: pruned } = await run<{ rows: unknown[] }>(
      trx,
      'select 1 from geo_event_prunes where xact_id >= ?::xid8 limit 1',
      [arrivedBelow],
    )
    return { rows, incomplete: pruned.length > 0 }
  })
  const keys = new Map<string, string | null>()
  for (const [type, ofType] of Map.groupBy(rows, (row) => row.type)) {
    const replicable = replicables.get(type)
    if (!replicable) continue
    for (let from = 0; from < ofType.length; from += ROWS_AT_ONCE) {
      const ids = ofType.slice(from, from + ROWS_AT_ONCE).map(({ id }) => id)
      for (const [id, { key }] of await loadSource(main, replicable, ids)) keys.set(`${type}/${id}`, key)
    }
  }
  return {
    records: rows.map(({ deletedKey, ...row }) => ({
      ...row,
      key: row.event === 'deleted' ? deletedKey : (keys.get(`${row.type}/${row.id}`) ?? null),
    })),
    incomplete,
  }
}
