import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../support/until.ts'
import type { World } from '../world.ts'
import type { Fault } from './fault.ts'

const LEAST_BYTES = 1024
const MOST_BYTES = 8 * 1024 * 1024
/** So long at most the host may get nothing written. */
const STALLED_MS = 120_000
/** Rest between two kills: short enough to hit processes that begin, long enough that data moves between them. */
const REST_MS = { least: 100, most: 3000 }
/** Of a hundred kills so many are of a process that works by then; the others hit it at whatever it is, mostly at its beginning. */
const AT_WORK = 75
/** About so long a kill waits for its process to work, for the pace of what arrives. */
const BEGINS_MS = 1000
const VERIFIED_WITHIN_MS = 90_000
/** What a look may take by itself, at the last moment. */
const LOOK_MS = 5000

export const kill: Fault<{ kills: number; blobs: number }> = {
  name: 'kill',
  title: 'kill -9 of random processes of all sites, while blobs of 1 KiB to 8 MiB arrive',
  full: { kills: 200, blobs: 10_000 },
  least: { kills: 15, blobs: 300 },
  async run(world, { kills, blobs }, chance) {
    const lastsMs = kills * ((REST_MS.least + REST_MS.most) / 2 + BEGINS_MS)
    const load = { blobs, perSecond: (blobs / lastsMs) * 1000, leastBytes: LEAST_BYTES, mostBytes: MOST_BYTES }
    const before = world.ledger.count
    const over = new AbortController()
    const loading = world.host.load({ ...load, replaced: 5, deleted: 5, signal: over.signal }, chance.stream('load'))
    try {
      const [, violations] = await Promise.all([loading, killAll()])
      const written = world.ledger.count - before
      if (written < blobs) violations.push(`only ${written} of ${blobs} blobs were acknowledged`)
      return violations
    } finally {
      over.abort()
    }

    async function killAll(): Promise<string[]> {
      const members = world.sites.flatMap((site) => site.members)
      let atWork = 0
      for (let killed = 0; killed < kills; killed += 1) {
        await sleep(chance.between(REST_MS.least, REST_MS.most))
        // A machine under load writes more slowly: blobs arrive until the last kill.
        const share = (blobs * killed) / kills
        await Promise.race([loading, until(() => world.ledger.count - before >= share, STALLED_MS)])
        const victim = chance.of(members)
        const meantAtWork = chance.below(100) < AT_WORK
        await until(() => victim.pid !== null && (victim.works || !meantAtWork), STALLED_MS)
        if (victim.works) atWork += 1
        world.history.note({ kind: 'fault', fault: 'kill', what: `${victim.name} (${victim.pid}) is killed` })
        victim.kill()
      }
      const lastKillMs = performance.now()
      world.figure('killed at work', atWork)
      await loading
      return verifiedInTime(world, performance.now() - lastKillMs)
    }
  },
}

/** `sinceMs`: how long ago the last process was killed. */
export async function verifiedInTime(world: Pick<World, 'settled' | 'say'>, sinceMs: number): Promise<string[]> {
  const beganMs = performance.now() - sinceMs
  const left = await world.settled(Math.max(0, VERIFIED_WITHIN_MS - sinceMs))
  const takenMs = performance.now() - beganMs
  const when = `${(takenMs / 1000).toFixed(1)} s after the last kill`
  if (left !== null) return [`${when} ${left}`]
  // Also where it is the host that has written for so long: then it was not looked at in time.
  if (takenMs > VERIFIED_WITHIN_MS + LOOK_MS) return [`all was verified only ${when}`]
  world.say(`all verified ${when}`)
  return []
}
