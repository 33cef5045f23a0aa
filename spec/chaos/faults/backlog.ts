import { setTimeout as sleep } from 'node:timers/promises'
import { SYNCED, TYPE_NAMES, TYPES, VERIFIED } from '../checks/scene.ts'
import { rowsOf } from '../databases.ts'
import type { World } from '../world.ts'

const LOOK_EVERY_MS = 250
/** So much of a second's arrivals is always on its way. */
export const ON_ITS_WAY_SECONDS = 2
/** By how much it has fallen where work goes on again: of a large one more than a request brings. */
const LEAST_FALL = 2
const LEAST_FALL_SHARE = 0.05
/** By how many times of what arrives a backlog falls, at least. */
export const FALLS_AT_LEAST = 3
/** For what else is due then: leases that end, retries in their backoff. */
const BESIDES_MS = 120_000

/** How long so many blobs may take that are all to be fetched or hashed at once, while others arrive. */
export function caughtUpWithinMs(blobs: number, perSecond: number): number {
  return BESIDES_MS + (blobs / (FALLS_AT_LEAST * perSecond)) * 1000
}

/** Blobs that the host was told are stored and that some secondary has no verified copy of. */
export async function backlogOf({ ledger, databases }: World): Promise<number> {
  const live = ledger.live().length
  let most = 0
  for (const { tracking } of databases.secondaries) {
    let verified = 0
    for (const type of TYPE_NAMES) {
      const [row] = await rowsOf<{ count: number }>(
        tracking.url,
        `select count(*)::int as count from ${TYPES[type].registry} where state = ${SYNCED} and verification_state = ${VERIFIED}`,
      )
      verified += row?.count ?? 0
    }
    most = Math.max(most, live - verified)
  }
  return most
}

export interface CatchUp {
  readonly text: string
  readonly violations: readonly string[]
  /** From now until the backlog had fallen by more than what one batch that was under way anyhow may be. */
  readonly backAfterMs: number
  /** Requests of all secondaries until then. */
  readonly requestsUntilBack: number
  /** By how many it fell each second from then on, until next to nothing was left: what arrived meanwhile not counted. */
  readonly fallsPerSecond: number
}

interface Limits {
  readonly perSecond: number
  readonly backWithinMs: number
}

/** Follows the backlog from now on, when what was broken works again, until it is gone. */
export async function watchBacklog(world: World, { perSecond, backWithinMs }: Limits): Promise<CatchUp> {
  const beganMs = performance.now()
  const passedMs = () => performance.now() - beganMs
  const few = perSecond * ON_ITS_WAY_SECONDS
  let most = await backlogOf(world)
  let lastLookMs = passedMs()
  let back: { atMs: number; fromMs: number; from: number; requests: number } | null = null
  for (;;) {
    const { requests } = await world.front.figures()
    const backlog = await backlogOf(world)
    const nowMs = passedMs()
    // What arrives meanwhile is not counted: it falls from before this look on.
    if (!back && backlog <= most - leastFall(most)) back = { atMs: nowMs, fromMs: lastLookMs, from: most, requests }
    lastLookMs = nowMs
    most = Math.max(most, backlog)
    const timeoutMs = caughtUpWithinMs(most, perSecond)
    if (backlog <= few || nowMs > timeoutMs) {
      const backAfterMs = back?.atMs ?? nowMs
      const seconds = Math.max(LOOK_EVERY_MS / 1000, (nowMs - (back?.fromMs ?? 0)) / 1000)
      const fallsPerSecond = most <= few ? Number.POSITIVE_INFINITY : ((back?.from ?? most) - backlog) / seconds
      const violations: string[] = []
      if (backAfterMs > backWithinMs)
        violations.push(`work began again ${Math.round(backAfterMs / 1000)} s after all was well`)
      if (backlog > few)
        violations.push(`${backlog} blobs are still missing ${Math.round(timeoutMs / 1000)} s after all was well`)
      const fell = `began to fall after ${(backAfterMs / 1000).toFixed(1)} s, by ${fallsPerSecond.toFixed(0)} a second`
      const text = most <= few ? `a backlog of at most ${most}` : `a backlog of ${most} ${fell}`
      return { text, violations, backAfterMs, requestsUntilBack: back?.requests ?? requests, fallsPerSecond }
    }
    await sleep(LOOK_EVERY_MS)
  }
}

/** By more than one: a single blob gets through also where nothing else does. */
function leastFall(most: number): number {
  return Math.max(LEAST_FALL, Math.ceil(most * LEAST_FALL_SHARE))
}
