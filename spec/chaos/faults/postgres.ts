import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { TYPE_NAMES, TYPES } from '../checks/scene.ts'
import { rowsOf, type Server } from '../databases.ts'
import type { Seeded } from '../seeded.ts'
import type { World } from '../world.ts'
import { watchBacklog } from './backlog.ts'
import type { Fault } from './fault.ts'
import { remakeReplica } from './remake-replica.ts'
import { underLoad } from './under-load.ts'

const DEADLOCK_DETECTED = '40P01'
const LEAST_BYTES = 1024
const MOST_BYTES = 64 * 1024
const BETWEEN_MS = 2000
const BACK_WITHIN_MS = 10_000
const ENDED_EVERY_MS = 500
const LOCKED_ROWS = 20
const LOCKED_TABLES = ['geo_events', 'widgets', 'gadgets', 'geo_nodes']

type Numbers = {
  perSecond: number
  downSeconds: number
  ends: number
  deadlocks: number
  conflicts: number
  lagSeconds: number
}

interface Step {
  readonly name: string
  /** Breaks it and mends it. */
  act(world: World, size: Numbers, chance: Seeded): Promise<unknown>
}

const secondaries = ({ databases }: World) => databases.secondaries

const STEPS: readonly Step[] = [
  { name: "the primary's server is restarted", act: ({ databases }, size) => restart(databases.primary, size) },
  {
    name: 'the replica is restarted',
    act: (world, size) => each(secondaries(world), ({ replica }) => restart(replica, size)),
  },
  {
    name: 'the tracking server is restarted',
    act: (world, size) => each(secondaries(world), ({ tracking }) => restart(tracking, size)),
  },
  { name: "the primary's server crashes", act: ({ databases }, size) => crash(databases.primary, size) },
  {
    name: 'the tracking server crashes',
    act: (world, size) => each(secondaries(world), ({ tracking }) => crash(tracking, size)),
  },
  { name: 'all connections of all servers are ended, again and again', act: endConnections },
  { name: 'statements take too long on all servers', act: statementTimeouts },
  { name: 'others lock rows in other orders', act: deadlocks },
  { name: 'the replica lags behind', act: lag },
  { name: 'the replica cancels what is in the way of its primary', act: conflicts },
  {
    name: 'the replica is made anew',
    act: (world) => each(secondaries(world), (secondary) => remakeReplica(world.databases.primary, secondary)),
  },
]

export const postgres: Fault<Numbers> = {
  name: 'postgres',
  title:
    'servers are restarted, crash, end connections, time out, deadlock, lag, conflict and are replaced, while blobs arrive',
  full: { perSecond: 50, downSeconds: 10, ends: 20, deadlocks: 40, conflicts: 40, lagSeconds: 120 },
  least: { perSecond: 10, downSeconds: 1, ends: 4, deadlocks: 4, conflicts: 4, lagSeconds: 5 },
  async run(world, size, chance) {
    const { perSecond } = size
    const load = { perSecond, leastBytes: LEAST_BYTES, mostBytes: MOST_BYTES, replaced: 5, deleted: 5 }
    const violations: string[] = []
    await underLoad(world, load, chance.stream('load'), async () => {
      for (const { name, act } of chance.shuffled(STEPS)) {
        await sleep(BETWEEN_MS)
        world.history.note({ kind: 'fault', fault: 'postgres', what: name })
        await act(world, size, chance.stream(name))
        world.history.note({ kind: 'fault', fault: 'postgres', what: `${name}: over` })
        const limits = { perSecond, backWithinMs: BACK_WITHIN_MS }
        const backlog = await watchBacklog(world, limits)
        world.say(`${name}: ${backlog.text}`)
        violations.push(...backlog.violations.map((violation) => `${name}: ${violation}`))
      }
    })
    return violations
  },
}

async function each<Value>(values: readonly Value[], act: (value: Value) => Promise<unknown>): Promise<void> {
  for (const value of values) await act(value)
}

async function restart(server: Server, { downSeconds }: Numbers): Promise<void> {
  await server.stop()
  await sleep(downSeconds * 1000)
  await server.start()
}

async function crash(server: Server, { downSeconds }: Numbers): Promise<void> {
  await server.crash()
  await sleep(downSeconds * 1000)
  await server.start()
}

function all({ databases }: World): Server[] {
  return [databases.primary, ...databases.secondaries.flatMap(({ replica, tracking }) => [replica, tracking])]
}

async function endConnections(world: World, { ends }: Numbers): Promise<void> {
  const statement = `select pg_terminate_backend(pid) from pg_stat_activity
     where backend_type = 'client backend' and pid <> pg_backend_pid()`
  for (let end = 0; end < ends; end += 1) {
    await each(all(world), ({ url }) => rowsOf(url, statement))
    await sleep(ENDED_EVERY_MS)
  }
}

/** Whoever has to wait for a lock is told that it took too long. */
async function statementTimeouts(world: World, { downSeconds }: Numbers): Promise<void> {
  const reload = (statement: string) =>
    each(all(world), async ({ url }) => {
      await rowsOf(url, statement)
      await rowsOf(url, 'select pg_reload_conf()')
    })
  await reload("alter system set statement_timeout = '500ms'")
  try {
    for (const { tracking } of world.databases.secondaries) {
      await holding(
        tracking.url,
        'lock table widget_registry, gadget_registry in access exclusive mode',
        (2 + downSeconds) * 1000,
      )
    }
    await holding(world.databases.primary.url, 'lock table geo_events in exclusive mode', (2 + downSeconds) * 1000)
  } finally {
    await reload('alter system reset statement_timeout')
  }
}

async function holding(url: string, lock: string, forMs: number): Promise<void> {
  await withClient(url, async (client) => {
    await client.query('set statement_timeout = 0')
    while (!(await taken(client, lock)));
    await sleep(forMs)
    await client.query('rollback')
  })
}

/** Begins a transaction that holds the lock; false where it was the victim of a deadlock. */
async function taken(client: pg.Client, lock: string): Promise<boolean> {
  await client.query('begin')
  try {
    await client.query(lock)
    return true
  } catch (reason) {
    if ((reason as pg.DatabaseError).code !== DEADLOCK_DETECTED) throw reason
    await client.query('rollback')
    return false
  }
}

/** Locks rows backwards and slowly; whoever takes them forwards meets it, and one of the two is chosen as the victim. */
async function deadlocks(world: World, { deadlocks }: Numbers, chance: Seeded): Promise<void> {
  for (const { tracking } of world.databases.secondaries) {
    for (let turn = 0; turn < deadlocks; turn += 1) {
      const { registry } = TYPES[chance.of(TYPE_NAMES)]
      await withClient(tracking.url, async (client) => {
        const { rows } = await client.query(`select id from ${registry} order by id desc limit ${LOCKED_ROWS}`)
        await client.query('begin')
        try {
          for (const { id } of rows) {
            await client.query(`select 1 from ${registry} where id = $1 for update`, [id])
            await sleep(10)
          }
          await client.query('rollback')
        } catch (reason) {
          // The victim may be this one.
          if ((reason as pg.DatabaseError).code !== DEADLOCK_DETECTED) throw reason
          await client.query('rollback')
        }
      })
    }
  }
}

async function lag(world: World, { lagSeconds }: Numbers): Promise<void> {
  await each(world.databases.secondaries, ({ replica }) => rowsOf(replica.url, 'select pg_wal_replay_pause()'))
  try {
    await sleep(lagSeconds * 1000)
  } finally {
    await each(world.databases.secondaries, ({ replica }) => rowsOf(replica.url, 'select pg_wal_replay_resume()'))
  }
}

/** With no patience the replica cancels each query that holds up what it has to replay: rows that are cleared away, and locks. */
async function conflicts(world: World, { conflicts }: Numbers): Promise<void> {
  const set = async (statement: string) => {
    for (const { replica } of world.databases.secondaries) {
      await rowsOf(replica.url, statement)
      await rowsOf(replica.url, 'select pg_reload_conf()')
    }
  }
  await set("alter system set max_standby_streaming_delay = '0'")
  try {
    for (let turn = 0; turn < conflicts; turn += 1) {
      // One after the other: taken at once they would meet the host's own locks in another order.
      for (const table of LOCKED_TABLES) {
        await holding(world.databases.primary.url, `lock table ${table} in access exclusive mode`, 50)
      }
      for (const table of ['widgets', 'gadgets', 'geo_events'])
        await rowsOf(world.databases.primary.url, `vacuum freeze ${table}`)
      await sleep(ENDED_EVERY_MS)
    }
  } finally {
    await set('alter system reset max_standby_streaming_delay')
  }
}

async function withClient(url: string, act: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => undefined)
  try {
    await client.connect()
    await act(client)
  } finally {
    await client.end()
  }
}
