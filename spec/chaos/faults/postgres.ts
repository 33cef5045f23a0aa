import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { until } from '../../support/until.ts'
import { TYPE_NAMES, TYPES } from '../checks/scene.ts'
import { rowsOf, type Server, withClient } from '../databases.ts'
import type { RecordType } from '../history.ts'
import { replay } from '../replay.ts'
import type { Seeded } from '../seeded.ts'
import type { World } from '../world.ts'
import { type Reached, sumOf, tooSmall } from '../writes.ts'
import { aftermath, wellSince } from './aftermath.ts'
import type { Fault } from './fault.ts'
import { toOtherStandby } from './other-standby.ts'
import { remakeReplica } from './remake-replica.ts'
import { underLoad } from './under-load.ts'

const DEADLOCK_DETECTED = '40P01'
const LOCK_NOT_AVAILABLE = '55P03'
const LEAST_BYTES = 1024
const MOST_BYTES = 64 * 1024
const BETWEEN_MS = 2000
const BACK_WITHIN_MS = 10_000
const ENDED_EVERY_MS = 500
const LOCKED_ROWS = 20
/** The SDK looks for new events each second, if nobody tells it of them. */
const CAUGHT_WITHIN_MS = 3000
const MOMENT_MS = 50
const RECOVERED_MS = 1000
const LOCKED_TABLES = ['geo_events', 'widgets', 'gadgets', 'geo_nodes']

type Numbers = {
  /** How many of them, drawn anew in each phase. */
  steps: number
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
  /** What the servers must have said in their logs because of it, or nothing has come of it. */
  readonly evidence?: string
  /** Set where the primary's own server cannot take what the host writes: only then may it refuse that. */
  readonly mayRefuse?: true
}

const secondaries = ({ databases }: World) => databases.secondaries

const STEPS: readonly Step[] = [
  {
    name: "the primary's server is restarted",
    act: ({ databases }, size) => restart(databases.primary, size),
    mayRefuse: true,
  },
  {
    name: 'the replica is restarted',
    act: (world, size) => each(secondaries(world), ({ replica }) => restart(replica, size)),
  },
  {
    name: 'the tracking server is restarted',
    act: (world, size) => each(secondaries(world), ({ tracking }) => restart(tracking, size)),
  },
  {
    name: "the primary's server crashes",
    act: ({ databases }, size) => crash(databases.primary, size),
    mayRefuse: true,
  },
  {
    name: 'the tracking server crashes',
    act: (world, size) => each(secondaries(world), ({ tracking }) => crash(tracking, size)),
  },
  { name: 'all connections of all servers are ended, again and again', act: endConnections, mayRefuse: true },
  {
    name: 'statements take too long on all servers',
    act: statementTimeouts,
    evidence: 'due to statement timeout',
    mayRefuse: true,
  },
  { name: 'others lock rows in other orders', act: deadlocks, evidence: 'deadlock detected' },
  { name: 'the replica lags behind', act: lag },
  {
    name: 'the replica cancels what is in the way of its primary',
    act: conflicts,
    evidence: 'due to conflict with recovery',
  },
  {
    name: 'the replica is made anew',
    act: (world) => each(secondaries(world), (secondary) => remakeReplica(world.databases.primary, secondary)),
  },
  {
    name: 'the replica fails over to another standby that is behind it',
    act: (world, { lagSeconds }) => toOtherStandby(world, lagSeconds),
  },
]

export const postgres: Fault<Numbers> = {
  name: 'postgres',
  title:
    'servers are restarted, crash, end connections, time out, deadlock, lag, conflict, are replaced and fail over, while blobs arrive',
  full: {
    steps: STEPS.length,
    perSecond: 50,
    downSeconds: 10,
    ends: 20,
    deadlocks: 40,
    conflicts: 40,
    lagSeconds: 120,
  },
  least: { steps: STEPS.length, perSecond: 10, downSeconds: 1, ends: 4, deadlocks: 4, conflicts: 4, lagSeconds: 5 },
  mayRefuse: true,
  async run(world, size, chance) {
    const { perSecond } = size
    const load = { perSecond, leastBytes: LEAST_BYTES, mostBytes: MOST_BYTES, replaced: 5, deleted: 5 }
    const violations: string[] = []
    const written: Reached[] = []
    await underLoad(world, load, chance.stream('load'), async () => {
      for (const step of chance.shuffled(STEPS).slice(0, size.steps)) {
        await sleep(BETWEEN_MS)
        const found = await take(world, step, size, chance.stream(step.name), written)
        violations.push(...found.map((violation) => `${step.name}: ${violation}`))
      }
    })
    return [...violations, ...tooSmall(sumOf(written, perSecond))]
  },
}

/** Breaks and mends one thing, and judges what comes of it. `written` gets what the host wrote while its own server was well. */
async function take(world: World, step: Step, size: Numbers, chance: Seeded, written: Reached[]): Promise<string[]> {
  const { name, act, evidence, mayRefuse } = step
  const { perSecond } = size
  const note = (what: string) => world.history.note({ kind: 'fault', fault: 'postgres', what })
  const said = evidence === undefined ? null : await complaints(world, evidence)
  const well = mayRefuse ? null : wellSince(world, perSecond)
  note(name)
  await act(world, size, chance)
  note(`${name}: over`)
  const after = await aftermath(world, { perSecond, backWithinMs: BACK_WITHIN_MS }, chance, well)
  const violations = [...after.violations]
  written.push(after.written)
  world.say(`${name}: ${after.text}`)
  if (evidence === undefined || said === null) return violations
  const now = await complaints(world, evidence)
  const times = [...now].map(([server, count]) => [server, count - (said.get(server) ?? 0)] as const)
  world.say(`${name}: "${evidence}": ${times.map(([server, count]) => `${count} times by ${server}`).join(', ')}`)
  if (times.every(([, count]) => count === 0)) violations.push(`no server has said "${evidence}"`)
  return violations
}

async function complaints(world: World, text: string): Promise<Map<string, number>> {
  const found = new Map<string, number>()
  for (const [name, server] of named(world)) found.set(name, await server.complaints(text))
  return found
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

function named({ databases, secondaries }: World): [string, Server][] {
  const theirs = databases.secondaries.flatMap(({ replica, tracking }, at): [string, Server][] => {
    const site = secondaries[at]?.name
    return [
      [`the replica of ${site}`, replica],
      [`the tracking server of ${site}`, tracking],
    ]
  })
  return [["the primary's server", databases.primary], ...theirs]
}

function all(world: World): Server[] {
  return named(world).map(([, server]) => server)
}

/** Acts while all of these have another value of a setting. */
function during(servers: readonly Server[], name: string, value: string, act: () => Promise<void>): Promise<void> {
  return servers.reduceRight<() => Promise<void>>((inner, server) => () => server.during(name, value, inner), act)()
}

async function endConnections(world: World, { ends }: Numbers): Promise<void> {
  const statement = `select pg_terminate_backend(pid) from pg_stat_activity
     where backend_type = 'client backend' and pid <> pg_backend_pid()`
  for (let end = 0; end < ends; end += 1) {
    await each(all(world), ({ url }) => rowsOf(url, statement))
    await sleep(ENDED_EVERY_MS)
  }
}

/** Whoever has to wait for a lock is told that it took too long, but for those who have a limit of their own. */
async function statementTimeouts(world: World, { downSeconds }: Numbers): Promise<void> {
  const forMs = (2 + downSeconds) * 1000
  await during(all(world), 'statement_timeout', '500ms', async () => {
    for (const { tracking } of world.databases.secondaries)
      await holding(tracking.url, 'lock table widget_registry, gadget_registry in access exclusive mode', forMs)
    await holding(world.databases.primary.url, 'lock table geo_events in exclusive mode', forMs)
  })
}

async function holding(url: string, lock: string, forMs: number): Promise<void> {
  await withClient(url, async (client) => {
    await client.query('set statement_timeout = 0')
    while (!(await taken(client, lock)));
    await sleep(forMs)
    await client.query('rollback')
  })
}

/** Begins a transaction that holds the lock; false where it was the victim of a deadlock, or has waited for too long. */
async function taken(client: pg.Client, lock: string): Promise<boolean> {
  await client.query('begin')
  try {
    await client.query(lock)
    return true
  } catch (reason) {
    const { code } = reason as pg.DatabaseError
    if (code !== DEADLOCK_DETECTED && code !== LOCK_NOT_AVAILABLE) throw reason
    await client.query('rollback')
    return false
  }
}

/**
 * Has the SDK wait for the last of the rows that it locks in one transaction, and then waits for the first of them, which it holds
 * by then. It is chosen as the victim, for it looks for a deadlock long before the other one does.
 */
async function deadlocks(world: World, { deadlocks }: Numbers, chance: Seeded): Promise<void> {
  for (const { tracking } of world.databases.secondaries) {
    await tracking.during('deadlock_timeout', '100ms', async () => {
      for (let turn = 0; turn < deadlocks; turn += 1) {
        await deadlock(world, tracking, chance.of(TYPE_NAMES))
        // A job that fails twice in a row rests for longer each time, and soon nothing would run into the next one.
        await sleep(RECOVERED_MS)
      }
    })
  }
}

async function deadlock(world: World, tracking: Server, type: RecordType): Promise<void> {
  const { registry, key } = TYPES[type]
  const lock = `select 1 from ${registry} where id = $1 for update`
  await withClient(tracking.url, async (client) => {
    await client.query("set deadlock_timeout = '1min'")
    const { rows } = await client.query<{ id: string; record: string }>(
      `select id::text, ${key}::text as record from ${registry} order by id desc limit ${LOCKED_ROWS}`,
    )
    const [last, first] = [rows[0], rows.at(-1)]
    if (!last || !first || last === first) return
    await client.query('begin')
    await client.query(lock, [last.id])
    // Told again of their checksums, it locks them all, in the order of the registry.
    await rowsOf(
      world.databases.primary.url,
      `insert into geo_events (replicable_name, event_name, payload)
       select $1, 'checksum_succeeded', jsonb_build_object('model_record_id', id) from unnest($2::text[]) as id`,
      [type.slice(0, -1), rows.map(({ record }) => record)],
    )
    const isWaitedFor = async () =>
      (await client.query('select 1 from pg_locks where pg_backend_pid() = any(pg_blocking_pids(pid))')).rows.length > 0
    if (await withinTime(isWaitedFor)) await client.query(lock, [first.id])
    await client.query('rollback')
  })
}

async function lag(world: World, { lagSeconds }: Numbers): Promise<void> {
  await replay(world, 'pause')
  try {
    await sleep(lagSeconds * 1000)
  } finally {
    await replay(world, 'resume')
  }
}

/** With no patience the replica cancels each query that holds up what it has to replay: rows that are cleared away, and locks. */
async function conflicts(world: World, { conflicts }: Numbers): Promise<void> {
  const { primary, secondaries } = world.databases
  const replicas = secondaries.map(({ replica }) => replica)
  await during(replicas, 'max_standby_streaming_delay', '0', async () => {
    for (let turn = 0; turn < conflicts; turn += 1) {
      await catchReader(primary, replicas)
      // One after the other: taken at once they would meet the host's own locks in another order.
      for (const table of LOCKED_TABLES)
        await holding(primary.url, `lock table ${table} in access exclusive mode`, MOMENT_MS)
      for (const table of ['widgets', 'gadgets', 'geo_events']) await rowsOf(primary.url, `vacuum freeze ${table}`)
      await sleep(ENDED_EVERY_MS)
    }
  })
}

/**
 * The SDK reads events and then what was pruned of them, in one transaction: kept from the second by a lock that is replayed, it
 * stands in the way of another one on the first.
 */
async function catchReader(primary: Server, replicas: readonly Server[]): Promise<void> {
  await withClient(primary.url, async (client) => {
    if (!(await taken(client, 'lock table geo_event_prunes in access exclusive mode'))) return
    const isCaught = async (replica: Server) =>
      (await rowsOf(replica.url, "select 1 from pg_locks where not granted and locktype = 'relation'")).length > 0
    for (const replica of replicas) await withinTime(() => isCaught(replica))
    await withClient(primary.url, async (other) => {
      // Whoever prunes at this moment has taken them in this order, too.
      await other.query(`set lock_timeout = '${CAUGHT_WITHIN_MS}ms'`)
      if (await taken(other, 'lock table geo_events in access exclusive mode')) await sleep(MOMENT_MS)
      await other.query('rollback')
    })
    await client.query('rollback')
  })
}

/** Whether it comes to be in time. */
function withinTime(condition: () => Promise<boolean>): Promise<boolean> {
  return until(condition, CAUGHT_WITHIN_MS).then(
    () => true,
    () => false,
  )
}
