import type { Knex } from 'knex'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'

/** Has the tracking database itself remember how often each widget became synced, whoever marked it. */
export async function recordDeliveries(tracking: Knex): Promise<void> {
  await tracking.raw('create table spec_deliveries (widget_id bigint not null)')
  await tracking.raw(`create function spec_delivered() returns trigger language plpgsql security definer as $$
    begin insert into spec_deliveries values (new.widget_id); return null; end $$`)
  await tracking.raw(`create trigger spec_delivered after update of state on widget_registry for each row
    when (new.state = ${SYNC_STATE.synced} and old.state <> new.state) execute function spec_delivered()`)
}

/** How many rows became synced, and the most often that one of them did. */
export async function deliveries(tracking: Knex): Promise<{ rows: number; mostOften: number }> {
  const { rows } = await tracking.raw(
    `select count(*)::int as rows, coalesce(max(times), 0)::int as "mostOften"
     from (select count(*) as times from spec_deliveries group by widget_id) as by_row`,
  )
  return rows[0]
}

export interface LeaseSamples {
  /** The most leases on transfers that lived at any sampled instant. */
  readonly most: number
  readonly count: number
}

/** Samples the live leases on transfers, each time on the database's clock, until it is called off. */
export function sampleLeases(tracking: Knex): () => Promise<LeaseSamples> {
  let ended = false
  let most = 0
  let count = 0
  const sampling = (async () => {
    while (!ended) {
      const { rows } = await tracking.raw(
        `select count(*)::int as live from geo_leases where kind = 'sync' and expires_at > clock_timestamp()`,
      )
      most = Math.max(most, rows[0].live)
      count += 1
    }
  })()
  return async () => {
    ended = true
    await sampling
    return { most, count }
  }
}
