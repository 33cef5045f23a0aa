import { until } from '../../support/until.ts'
import { registryRows } from '../checks/registry-rows.ts'
import { rowsOf } from '../databases.ts'
import { replay } from '../replay.ts'
import type { Seeded } from '../seeded.ts'
import type { World } from '../world.ts'
import type { Fault } from './fault.ts'
import { forgetPasses, judgePasses, momentsOf, notedPasses, notePasses } from './passes.ts'
import { judgeStale } from './stale.ts'

const BYTES = 512
/** Of a hundred events: each row that is written or changed brings another one, of its checksum. */
const SHARES = { published: 0.35, replaced: 0.1, deleted: 0.1 }
const PASSES = 2
const PASS_TIMEOUT_MS = 300_000
const HASHED_TIMEOUT_MS = 600_000
const VERIFIED_WITHIN_MS = 300_000

type Numbers = { events: number }

export const events: Fault<Numbers> = {
  name: 'events',
  title:
    'of all events a third is lost and a third is doubled, and all get other places, before the secondaries read them',
  full: { events: 100_000 },
  least: { events: 2000 },
  async run(world, { events }, chance) {
    const before = Math.round(events * SHARES.published)
    // What is changed afterwards has been on the secondary before.
    await world.host.publishMany(
      Math.round(events * (SHARES.replaced + SHARES.deleted)),
      BYTES,
      chance.stream('before'),
    )
    const left = await world.settled(VERIFIED_WITHIN_MS)
    if (left !== null) return [`before any event was touched ${left}`]
    await notePasses(world)
    await replay(world, 'pause')
    let mangled: string
    try {
      await world.host.publishMany(before, BYTES, chance.stream('new'))
      const [replaced, deleted] = [Math.round(events * SHARES.replaced), Math.round(events * SHARES.deleted)]
      await world.host.changeMany(replaced, deleted, BYTES, chance.stream('changes'))
      await untilHashed(world)
      mangled = await mangle(world, chance)
      // The next one by itself comes a minute after this one has begun, which finds nothing yet.
      await pass(world)
    } finally {
      await replay(world, 'resume')
    }
    const resumedAt = await momentsOf(world)
    world.say(mangled)
    await caughtUp(world)
    for (let number = 1; number <= PASSES; number += 1) {
      await pass(world)
      world.say(`pass ${number} of reconciliation is over`)
    }
    const violations = await stale(world)
    const lookedAt = await momentsOf(world)
    const late = await world.settled(VERIFIED_WITHIN_MS)
    if (late !== null) violations.push(`${VERIFIED_WITHIN_MS / 1000} s after ${PASSES} passes ${late}`)
    violations.push(...(await otherPasses(world, resumedAt, lookedAt)))
    await forgetPasses(world)
    return violations
  },
}

/** Each checksum brings an event of its own. */
async function untilHashed({ databases }: World): Promise<void> {
  const unhashed = `select 1 from widgets w left join widget_states s on s.widget_id = w.id
     where w.file_path is not null and s.verification_state is distinct from 2
     union all select 1 from gadgets where file_path is not null and verification_state <> 2 limit 1`
  await until(
    async () => (await rowsOf(databases.primary.url, unhashed)).length === 0,
    HASHED_TIMEOUT_MS,
    'all checksums',
  )
}

/** Those that no replica has yet. */
async function mangle({ databases, history }: World, chance: Seeded): Promise<string> {
  const { url } = databases.primary
  const cursors = await Promise.all(
    databases.secondaries.map(async ({ replica }) => {
      const [row] = await rowsOf<{ last: string }>(
        replica.url,
        'select coalesce(max(id), 0)::text as last from geo_events',
      )
      return BigInt(row?.last ?? 0)
    }),
  )
  const last = cursors.reduce((most, cursor) => (cursor > most ? cursor : most), 0n).toString()
  const lot = (salt: number) => `abs(hashtextextended(id::text, ${salt}))`
  const [which, where] = [chance.below(1e9), chance.below(1e9)]
  const count = async (statement: string): Promise<number> => {
    const [row] = await rowsOf<{ count: number }>(
      url,
      `with done as (${statement} returning 1) select count(*)::int as count from done`,
      [last],
    )
    return row?.count ?? 0
  }
  const lost = await count(`delete from geo_events where id > $1 and ${lot(which)} % 3 = 0`)
  const doubled = await count(
    `insert into geo_events (replicable_name, event_name, payload, xact_id)
     select replicable_name, event_name, payload, xact_id from geo_events where id > $1 and ${lot(which)} % 3 = 1`,
  )
  const moved = await count(
    `update geo_events e set xact_id = theirs.xact_id
     from (select id, row_number() over (order by id) as place, row_number() over (order by ${lot(where)}) as other
             from geo_events where id > $1) mine
     join (select xact_id, row_number() over (order by id) as place from geo_events where id > $1) theirs on theirs.place = mine.other
     where e.id = mine.id`,
  )
  const what = `${lost} events are lost, ${doubled} doubled, ${moved} moved`
  history.note({ kind: 'fault', fault: 'events', what })
  return what
}

async function caughtUp({ databases }: World): Promise<void> {
  const [written] = await rowsOf<{ lsn: string }>(databases.primary.url, 'select pg_current_wal_lsn()::text as lsn')
  for (const { replica } of databases.secondaries) {
    await until(async () => {
      const statement = 'select pg_last_wal_replay_lsn() >= $1::pg_lsn as done'
      const [row] = await rowsOf<{ done: boolean }>(replica.url, statement, [written?.lsn])
      return row?.done === true
    }, PASS_TIMEOUT_MS)
  }
}

/** Asks for a pass of each secondary, as an operator would, and waits for its end. */
async function pass({ databases }: World): Promise<void> {
  for (const { tracking } of databases.secondaries) {
    const [asked] = await rowsOf<{ at: string }>(
      tracking.url,
      `with asked as (update geo_reconciliations set asked_at = clock_timestamp() returning asked_at)
       select max(asked_at)::text as at from asked`,
    )
    const statement =
      'select 1 from geo_reconciliations where began_at is null or ended_at is null or began_at < $1 or ended_at < began_at'
    const isOver = async () => (await rowsOf(tracking.url, statement, [asked?.at])).length === 0
    await until(isOver, PASS_TIMEOUT_MS, 'a pass of reconciliation')
  }
}

/** Whether the passes that were asked for have healed what is healed, or others too that came by themselves. */
async function otherPasses(world: World, from: readonly number[], to: readonly number[]): Promise<string[]> {
  const violations: string[] = []
  for (const [at, passes] of (await notedPasses(world)).entries()) {
    const found = judgePasses(passes, from[at] ?? 0, to[at] ?? 0, PASSES)
    violations.push(...found.map((sentence) => `${world.secondaries[at]?.name}: ${sentence}`))
  }
  return violations
}

async function stale(world: World): Promise<string[]> {
  const found: string[] = []
  for (const [at, { tracking }] of world.databases.secondaries.entries()) {
    const rows = await registryRows({ tracking: (statement, values) => rowsOf(tracking.url, statement, values) })
    const where = `${world.secondaries[at]?.name}: after ${PASSES} passes`
    found.push(...judgeStale(world.ledger, rows).map((sentence) => `${where} ${sentence}`))
  }
  return found
}
