import type { Seeded } from '../seeded.ts'
import type { World } from '../world.ts'
import type { Reached } from '../writes.ts'
import { markerArrives, rateIsKept, throughputIsBack } from './arrivals.ts'
import { fellSlowlyAtFirst, type Limits, watchBacklog } from './backlog.ts'

export interface Aftermath {
  readonly text: string
  readonly violations: readonly string[]
  /** New blobs while the primary's own server was well. */
  readonly written: Reached
}

/** What the host has written since then, until it is called, and what was refused to it. */
export type Well = () => { readonly written: Reached; readonly refused: readonly string[] }

export function wellSince({ host, ledger }: World, asked: number): Well {
  const from = { ms: performance.now(), count: ledger.count, mark: host.writes.mark() }
  return () => {
    const seconds = (performance.now() - from.ms) / 1000
    return {
      written: { asked, acknowledged: ledger.count - from.count, seconds },
      refused: host.writes.refusalsSince(from.mark),
    }
  }
}

/**
 * Judges how it goes on beside the load, from the moment on at which all that was broken works again. `well`: since when the host's
 * own server is; null where it was that server that was broken, which counts from when nothing waits any more.
 */
export async function aftermath(world: World, limits: Limits, chance: Seeded, well: Well | null): Promise<Aftermath> {
  const { perSecond } = limits
  const goneOn = async () => {
    const [marker, backlog] = await Promise.all([
      markerArrives(world, limits, chance.stream('marker')),
      watchBacklog(world, limits),
    ])
    const since = well ?? wellSince(world, perSecond)
    const rate = await rateIsKept(world, perSecond)
    const violations = [
      ...marker.violations,
      ...backlog.violations,
      ...fellSlowlyAtFirst(backlog, perSecond),
      ...rate.violations,
    ]
    return { since, violations, text: `${backlog.text}; a blob ${marker.text}; then ${rate.text}` }
  }
  const [throughput, { since, violations, text }] = await Promise.all([throughputIsBack(world, limits), goneOn()])
  const { written, refused } = since()
  return {
    text: `${text}; ${limits.backWithinMs / 1000} s after all was well ${throughput.text}`,
    violations: [...violations, ...throughput.violations, ...refused],
    written,
  }
}
