import { setTimeout as sleep } from 'node:timers/promises'
import { SYNCED, TYPE_NAMES, TYPES, VERIFIED } from '../checks/scene.ts'
import { rowsOf } from '../databases.ts'
import type { RecordType } from '../history.ts'
import type { Seeded } from '../seeded.ts'
import type { World } from '../world.ts'
import { backlogOf, FALLS_AT_LEAST, ON_ITS_WAY_SECONDS } from './backlog.ts'

const LOOK_EVERY_MS = 100
const SAMPLE_EVERY_MS = 500
const WINDOW_MS = 5000
const MARKER_BYTES = 4096

interface Limits {
  readonly perSecond: number
  readonly backWithinMs: number
}

interface Arrival {
  readonly text: string
  readonly violations: readonly string[]
}

/**
 * Whether a blob that the host publishes from now on, as often as it takes, gets to every secondary and is verified there in time:
 * where the host itself could not write, no backlog tells of it. What waits already may come before it, at the pace at which a
 * backlog falls at least.
 */
export async function markerArrives(
  world: World,
  { perSecond, backWithinMs }: Limits,
  chance: Seeded,
): Promise<Arrival> {
  const beganMs = performance.now()
  const passedMs = () => performance.now() - beganMs
  const waiting = Math.max(0, (await backlogOf(world)) - perSecond * ON_ITS_WAY_SECONDS)
  const withinMs = backWithinMs + (waiting / (FALLS_AT_LEAST * perSecond)) * 1000
  const type = chance.of(TYPE_NAMES)
  const id = await world.host.insist(type, MARKER_BYTES, chance, withinMs)
  if (id === null) return failed(`the host could not write for ${Math.round(passedMs() / 1000)} s after all was well`)
  const publishedMs = passedMs()
  while (!(await isVerifiedEverywhere(world, type, id))) {
    if (passedMs() > withinMs)
      return failed(
        `${type}/${id}, published ${(publishedMs / 1000).toFixed(1)} s after all was well, is not verified after ${Math.round(withinMs / 1000)} s`,
      )
    await sleep(LOOK_EVERY_MS)
  }
  const seconds = (ms: number) => (ms / 1000).toFixed(1)
  return { text: `published after ${seconds(publishedMs)} s, verified after ${seconds(passedMs())} s`, violations: [] }
}

/** Whether as many get through as arrive, for a while: what waits does not become more. */
export async function rateIsKept(world: World, perSecond: number): Promise<Arrival> {
  const beganMs = performance.now()
  const { writes } = world.host
  const mark = writes.mark()
  const few = perSecond * ON_ITS_WAY_SECONDS
  const samples: number[] = []
  while (performance.now() - beganMs < WINDOW_MS) {
    await sleep(SAMPLE_EVERY_MS)
    samples.push(await backlogOf(world))
  }
  const seconds = (performance.now() - beganMs) / 1000
  const written = writes.since(mark).acknowledged
  const text = `${(written / seconds).toFixed(0)} writes a second for ${seconds.toFixed(0)} s, with ${Math.min(...samples)} to ${Math.max(...samples)} waiting`
  // One look may come at a bad moment; the least of the last few does not.
  const left = Math.min(...samples.slice(Math.floor(samples.length / 2)))
  const violations: string[] = []
  if (left > few)
    violations.push(`the backlog does not stay small while ${perSecond} a second arrive: ${samples.join(', ')}`)
  if (written === 0) violations.push(`the host wrote nothing for ${seconds.toFixed(0)} s, though all was well`)
  return { text, violations }
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
