import { setTimeout as sleep } from 'node:timers/promises'
import { SYNCED, TYPE_NAMES, TYPES, VERIFIED } from '../checks/scene.ts'
import { rowsOf } from '../databases.ts'
import type { RecordType } from '../history.ts'
import type { Seeded } from '../seeded.ts'
import type { World } from '../world.ts'
import { tooSmall } from '../writes.ts'
import { backlogOf, FALLS_AT_LEAST, type Limits, ON_ITS_WAY_SECONDS, verifiedCopies } from './backlog.ts'

const LOOK_EVERY_MS = 100
const SAMPLE_EVERY_MS = 500
const WINDOW_MS = 5000
const MARKER_BYTES = 4096
/** Of what the host was acknowledged, so much is verified in the same time where the throughput is back. */
const LEAST_SHARE = 0.9
/** Of so many new files a second the host writes a fifth more: it also replaces and deletes. */
const WRITES_PER_FILE = 1.2

export interface Arrival {
  readonly text: string
  readonly violations: readonly string[]
}

/** What became of a blob that was published after all was well; null: not in time. */
export interface Marked {
  readonly name: string
  readonly publishedMs: number | null
  readonly verifiedMs: number | null
  readonly withinMs: number
}

/**
 * Whether a blob that the host publishes from now on, as often as it takes, gets to every secondary and is verified there in time:
 * where the host itself could not write, no backlog tells of it.
 */
export async function markerArrives(world: World, limits: Limits, chance: Seeded): Promise<Arrival> {
  const beganMs = performance.now()
  const passedMs = () => performance.now() - beganMs
  const withinMs = markerWithinMs(await backlogOf(world), limits)
  const type = chance.of(TYPE_NAMES)
  const id = await world.host.insist(type, MARKER_BYTES, chance, withinMs)
  const marked = { name: `${type}/${id}`, publishedMs: passedMs(), withinMs }
  if (id === null) return judgeMarker({ ...marked, publishedMs: null, verifiedMs: null })
  while (!(await isVerifiedEverywhere(world, type, id))) {
    if (passedMs() > withinMs) return judgeMarker({ ...marked, verifiedMs: null })
    await sleep(LOOK_EVERY_MS)
  }
  return judgeMarker({ ...marked, verifiedMs: passedMs() })
}

/** What waits already may come before it, at the pace at which a backlog falls at least. */
export function markerWithinMs(backlog: number, { perSecond, backWithinMs }: Limits): number {
  const waiting = Math.max(0, backlog - perSecond * ON_ITS_WAY_SECONDS)
  return backWithinMs + (waiting / (FALLS_AT_LEAST * perSecond)) * 1000
}

export function judgeMarker({ name, publishedMs, verifiedMs, withinMs }: Marked): Arrival {
  const seconds = (ms: number) => (ms / 1000).toFixed(1)
  const limit = Math.round(withinMs / 1000)
  if (publishedMs === null) return failed(`the host could not write for ${limit} s after all was well`)
  if (verifiedMs === null || verifiedMs > withinMs)
    return failed(`${name}, published ${seconds(publishedMs)} s after all was well, is not verified after ${limit} s`)
  return { text: `published after ${seconds(publishedMs)} s, verified after ${seconds(verifiedMs)} s`, violations: [] }
}

/** What was seen in some seconds beside the load. */
export interface Throughput {
  readonly seconds: number
  /** Files that the host was told are stored, new ones and such as replace others. */
  readonly acknowledged: number
  /** Copies that the slowest secondary has verified. */
  readonly verified: number
  /** What waits at the end. */
  readonly waiting: number
}

/** Whether, some seconds after all was well, as much is verified as the host is acknowledged: what the databases say, from outside. */
export async function throughputIsBack(world: World, { perSecond, backWithinMs }: Limits): Promise<Arrival> {
  await sleep(backWithinMs)
  const before = { ms: performance.now(), files: filesOf(world), moments: await momentsOf(world) }
  await sleep(WINDOW_MS)
  const acknowledged = filesOf(world) - before.files
  const verified = await verifiedSince(world, before.moments)
  const seconds = (performance.now() - before.ms) / 1000
  return judgeThroughput({ seconds, acknowledged, verified, waiting: await backlogOf(world) }, perSecond)
}

export function judgeThroughput({ seconds, acknowledged, verified, waiting }: Throughput, perSecond: number): Arrival {
  const text = `${verified} copies were verified in ${seconds.toFixed(1)} s in which the host was acknowledged ${acknowledged}, and ${waiting} waited`
  const isBack = verified >= LEAST_SHARE * acknowledged || waiting <= perSecond * ON_ITS_WAY_SECONDS
  const violations = tooSmall({ asked: perSecond, acknowledged, seconds })
  return { text, violations: isBack ? violations : [`the throughput is not back: ${text}`, ...violations] }
}

/**
 * Whether as many get through as are to arrive, for a while: what waits does not become more. What the host makes up for, of what it
 * could not write before, comes beside them and may wait.
 */
export async function rateIsKept(world: World, perSecond: number): Promise<Arrival> {
  const beganMs = performance.now()
  const { writes } = world.host
  const mark = writes.mark()
  const samples: number[] = []
  while (performance.now() - beganMs < WINDOW_MS) {
    await sleep(SAMPLE_EVERY_MS)
    samples.push(await backlogOf(world))
  }
  const seconds = (performance.now() - beganMs) / 1000
  return judgeRate({ seconds, written: writes.since(mark).acknowledged, samples }, perSecond)
}

export interface Kept {
  readonly seconds: number
  readonly written: number
  /** What waited, look by look. */
  readonly samples: readonly number[]
}

export function judgeRate({ seconds, written, samples }: Kept, perSecond: number): Arrival {
  const besides = Math.max(0, written - WRITES_PER_FILE * perSecond * seconds)
  const few = perSecond * ON_ITS_WAY_SECONDS + besides
  const text = `${(written / seconds).toFixed(0)} writes a second for ${seconds.toFixed(0)} s, with ${Math.min(...samples)} to ${Math.max(...samples)} waiting`
  // One look may come at a bad moment; the least of the last few does not.
  const left = Math.min(...samples.slice(Math.floor(samples.length / 2)))
  const violations: string[] = []
  if (left > few)
    violations.push(`the backlog does not stay small while ${perSecond} a second arrive: ${samples.join(', ')}`)
  if (written === 0) violations.push(`the host wrote nothing for ${seconds.toFixed(0)} s, though all was well`)
  return { text, violations }
}

function filesOf({ ledger }: World): number {
  return ledger.records.reduce((total, { versions }) => total + versions.length, 0)
}

/** Now, by the clock of each tracking database. */
async function momentsOf({ databases }: World): Promise<string[]> {
  const moments: string[] = []
  for (const { tracking } of databases.secondaries) {
    const [row] = await rowsOf<{ now: string }>(tracking.url, 'select clock_timestamp()::text as now')
    moments.push(row?.now ?? '')
  }
  return moments
}

async function verifiedSince({ databases }: World, moments: readonly string[]): Promise<number> {
  const counts: number[] = []
  for (const [at, { tracking }] of databases.secondaries.entries()) {
    counts.push(await verifiedCopies(tracking, moments[at]))
  }
  return Math.min(...counts)
}

async function isVerifiedEverywhere({ databases }: World, type: RecordType, id: string): Promise<boolean> {
  const { registry, key } = TYPES[type]
  const statement = `select 1 from ${registry} where ${key} = $1 and state = ${SYNCED} and verification_state = ${VERIFIED}`
  for (const { tracking } of databases.secondaries) {
    if ((await rowsOf(tracking.url, statement, [id])).length === 0) return false
  }
  return true
}

function failed(violation: string): Arrival {
  return { text: violation, violations: [violation] }
}
