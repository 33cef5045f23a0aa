import { expect } from 'vitest'
import { insertEvents } from '../../lib/event/event-log.ts'
import { SYNC_STATE as S } from '../../lib/registry/sync-state.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import type { SecondarySite } from './secondary-site.ts'

const CHUNKS = 10
const FORMER = String.raw`'\x01aaaaaaaaaaaaaaaa'::bytea`
const LATTER = String.raw`'\x01bbbbbbbbbbbbbbbb'::bytea`

/** A seed that can be set to repeat a run, and is printed. */
export function eventSeed(): number {
  const seed = Number(process.env['GEO_EVENT_SEED'] ?? Math.floor(Math.random() * 1e9))
  console.log(`GEO_EVENT_SEED=${seed}`)
  return seed
}

/** `count` rows with verified copies, all in step. */
export async function copiesInStep({ databases: { main, tracking } }: SecondarySite, count: number): Promise<void> {
  await main.raw('insert into widgets (id, name, file_path) select n, n::text, n::text from generate_series(1, ?) n', [
    count,
  ])
  await main.raw("select setval('widgets_id_seq', ?)", [count])
  await main.raw(
    `insert into widget_states (widget_id, verification_state, verification_checksum)
     select id, ${V.succeeded}, ${FORMER} from widgets`,
  )
  await tracking.raw(
    `insert into widget_registry (widget_id, created_at, state, blob_key, verification_state, verification_checksum)
     select n, now(), ${S.synced}, n::text, ${V.succeeded}, ${FORMER} from generate_series(1, ?) n`,
    [count],
  )
}

/** As many events as there were rows, of all four kinds alike, each with the change that it tells of. */
export async function changeAll({ databases: { main } }: SecondarySite, count: number): Promise<void> {
  const changes = [
    [
      'created',
      `insert into widgets (name, file_path) select n::text, 'new' from generate_series(1, ${count / 4 / CHUNKS}) n`,
    ],
    ['updated', "update widgets set file_path = 'changed' || id where id % 4 = 1"],
    ['deleted', 'delete from widgets where id % 4 = 2'],
    ['checksum_succeeded', `update widget_states set verification_checksum = ${LATTER} where widget_id % 4 = 3`],
  ] as const
  for (let chunk = 0; chunk < CHUNKS; chunk += 1) {
    for (const [name, change] of changes) {
      const key = name === 'checksum_succeeded' ? 'widget_id' : 'id'
      const only = name === 'created' ? '' : ` and ${key} <= ${count} and (${key} / 4) % ${CHUNKS} = ${chunk}`
      await main.transaction(async (trx) => {
        const { rows } = await trx.raw(`${change}${only} returning ${key}::text as id`)
        await insertEvents(
          trx,
          'widget',
          name,
          rows.map(({ id }: { id: string }) => ({ recordId: id })),
        )
      })
    }
  }
}

/** A third of the events is lost, a third doubled, and all get each other's places. Returns how many are left. */
export async function mangleEvents({ databases: { main } }: SecondarySite, seed: number): Promise<number> {
  const lot = (salt: number) => `abs(hashtextextended(id::text, ${seed + salt}))`
  await main.raw(`delete from geo_events where ${lot(0)} % 3 = 0`)
  await main.raw(
    `insert into geo_events (replicable_name, event_name, payload, xact_id)
     select replicable_name, event_name, payload, xact_id from geo_events where ${lot(0)} % 3 = 1`,
  )
  await main.raw(
    `with places as (
       select id, xact_id, row_number() over (order by id) as place, row_number() over (order by ${lot(1)}) as other from geo_events
     )
     update geo_events e set xact_id = theirs.xact_id
     from places mine join places theirs on theirs.other = mine.place where e.id = mine.id`,
  )
  const { rows } = await main.raw('select count(*)::int as count from geo_events')
  return rows[0].count
}

/** Every row has its registry row, no other stays, and no copy is called verified that is not what the primary has. */
export async function expectHealed({ databases: { main, tracking } }: SecondarySite): Promise<void> {
  const there = await main.raw(
    `select w.id::text as id, w.file_path as key, encode(s.verification_checksum, 'hex') as checksum
     from widgets w left join widget_states s on s.widget_id = w.id`,
  )
  const here = await tracking.raw(
    `select widget_id::text as id, blob_key as key, encode(verification_checksum, 'hex') as checksum, state, verification_state
     from widget_registry where removal_requested_at is null`,
  )
  const source = new Map(there.rows.map((row: { id: string }) => [row.id, row]))
  const wrong = here.rows.filter((row: Record<string, unknown>) => {
    const of = source.get(String(row['id'])) as Record<string, unknown> | undefined
    if (!of) return true
    const isOther = row['key'] !== of['key']
    return (
      row['state'] === S.synced &&
      (isOther || (row['verification_state'] === V.succeeded && row['checksum'] !== of['checksum']))
    )
  })
  expect(wrong).toEqual([])
  expect(here.rows.length).toBe(there.rows.length)
}
