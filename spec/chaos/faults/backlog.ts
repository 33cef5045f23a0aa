import { setTimeout as sleep } from 'node:timers/promises'
import { SYNCED, TYPE_NAMES, TYPES, VERIFIED } from '../checks/scene.ts'
import { rowsOf, type Server } from '../databases.ts'
import type { World } from '../world.ts'

const LOOK_EVERY_MS = 250
/** To count a hundred thousand rows must leave most of the machine to those that are counted. */
const REST_PER_LOOK = 4
/** So much of a second's arrivals is always on its way. */
export const ON_ITS_WAY_SECONDS = 2
/** By how much it has fallen where work goes on again: of a large one more than a request brings. */
const LEAST_FALL = 2
const LEAST_FALL_SHARE = 0.05
/** By how many times of what arrives a backlog falls, at least. */
export const FALLS_AT_LEAST = 3
/** A backlog is one, and not a moment's, where it is as large as what arrives in so many seconds. */
const REAL_SECONDS = 10
/** For what else is due then: leases that end, retries in their backoff. */
const BESIDES_MS = 120_000

/** How long so many blobs may take that are all to be fetched or hashed at once, while others arrive. */
export function caughtUpWithinMs(blobs: number, perSecond: number): number {
  return BESIDES_MS + (blobs / (FALLS_AT_LEAST * perSecond)) * 1000
}

/** Blobs that the host was told are stored and that some secondary has no verified copy of. */
export async function backlogOf({ ledger, databases }: World): Promise<number> {
  const live = ledger.liveCount
  let most = 0
  for (const { tracking } of databases.secondaries) most = Math.max(most, live - (await verifiedCopies(tracking)))
  return most
}

/** How many copies a secondary has that are verified; `after` a moment of its tracking database; null: whenever that was. */
export async function verifiedCopies({ url }: Pick<Server, 'url'>, after: string | null = null): Promise<number> {
  let verified = 0
  for (const type of TYPE_NAMES) {
    const [row] = await rowsOf<{ count: number }>(
      url,
      `select count(*)::int as count from ${TYPES[type].registry}
       where state = ${SYNCED} and verification_state = ${VERIFIED} and ($1::timestamptz is null or verified_at > $1)`,
      [after],
    )
    verified += row?.count ?? 0
  }
  return verified
}

export interface CatchUp {
  readonly text: string
  readonly violations: readonly string[]
  /** From now until the backlog had fallen by more than what one batch that was under way anyhow may be. */
  readonly backAfterMs: number
  /** Requests of all secondaries until then. */
  readonly requestsUntilBack: number
  /** The largest that it was. */
  readonly most: number
  /** By how many it fell each second from then on, until next to nothing was left: what arrived meanwhile not counted. */
  readonly fallsPerSecond: number
  /** The same until a quarter was left: the rest, where the machine is slow, is what is always on its way. */
  readonly fallsAtFirstPerSecond: number
}

export interface Limits {
  readonly perSecond: number
  readonly backWithinMs: number
}

/** What was seen at one moment after all was well. */
export interface Seen {
  readonly afterMs: number
  readonly backlog: number
  readonly requests: number
}

/** Follows the backlog from now on, when what was broken works again, until it is gone. */
export async function watchBacklog(world: World, limits: Limits): Promise<CatchUp> {
  const beganMs = performance.now()
  const first = await backlogOf(world)
  const course = new Course(limits, { backlog: first, afterMs: performance.now() - beganMs })
  for (;;) {
    const lookedAtMs = performance.now()
    const { requests } = await world.front.figures()
    const backlog = await backlogOf(world)
    const end = course.look({ afterMs: performance.now() - beganMs, backlog, requests })
    if (end !== null) return end
    await sleep(Math.max(LOOK_EVERY_MS, REST_PER_LOOK * (performance.now() - lookedAtMs)))
  }
}

/** How a backlog goes, look by look. */
export class Course {
  readonly #limits: Limits
  #most: number
  #lastMs: number
  #back: (Seen & { readonly fromMs: number; readonly from: number }) | null = null
  /** The first look at which no more than a quarter was left. */
  #quarter: Seen | null = null

  constructor(limits: Limits, { backlog, afterMs }: Omit<Seen, 'requests'>) {
    this.#limits = limits
    this.#most = backlog
    this.#lastMs = afterMs
  }

  /** What is to be said of all of it, once it is gone or should be; null as long as it goes on. */
  look(seen: Seen): CatchUp | null {
    const { afterMs, backlog } = seen
    // What arrives meanwhile is not counted: it falls from before this look on.
    if (!this.#back && backlog <= this.#most - leastFall(this.#most))
      this.#back = { ...seen, fromMs: this.#lastMs, from: this.#most }
    if (this.#back && backlog <= this.#back.from / 4) this.#quarter ??= seen
    this.#lastMs = afterMs
    this.#most = Math.max(this.#most, backlog)
    const { perSecond } = this.#limits
    const isGone = backlog <= perSecond * ON_ITS_WAY_SECONDS
    return isGone || afterMs > caughtUpWithinMs(this.#most, perSecond) ? this.#judge(seen, isGone) : null
  }

  #judge({ afterMs, backlog, requests }: Seen, isGone: boolean): CatchUp {
    const { perSecond, backWithinMs } = this.#limits
    const [most, back] = [this.#most, this.#back]
    const wasSmall = most <= perSecond * ON_ITS_WAY_SECONDS
    const backAfterMs = back?.afterMs ?? afterMs
    const falls = (until: Pick<Seen, 'afterMs' | 'backlog'>) => {
      const seconds = Math.max(LOOK_EVERY_MS, until.afterMs - (back?.fromMs ?? 0)) / 1000
      return wasSmall ? Number.POSITIVE_INFINITY : ((back?.from ?? most) - until.backlog) / seconds
    }
    const fallsPerSecond = falls({ afterMs, backlog })
    const fallsAtFirstPerSecond = falls(this.#quarter ?? { afterMs, backlog })
    const violations: string[] = []
    if (backAfterMs > backWithinMs)
      violations.push(`work began again ${Math.round(backAfterMs / 1000)} s after all was well`)
    const timeoutS = Math.round(caughtUpWithinMs(most, perSecond) / 1000)
    if (!isGone) violations.push(`${backlog} blobs are still missing ${timeoutS} s after all was well`)
    const fell = `began to fall after ${(backAfterMs / 1000).toFixed(1)} s, by ${fallsAtFirstPerSecond.toFixed(0)} and in all ${fallsPerSecond.toFixed(0)} a second`
    const text = wasSmall ? `a backlog of at most ${most}` : `a backlog of ${most} ${fell}`
    const requestsUntilBack = back?.requests ?? requests
    return { text, violations, backAfterMs, requestsUntilBack, most, fallsPerSecond, fallsAtFirstPerSecond }
  }
}

/** What is to be said of a backlog that fell by so many a second. */
export function fellSlowly(most: number, fallsPerSecond: number, perSecond: number): string[] {
  if (fallsPerSecond >= FALLS_AT_LEAST * perSecond) return []
  return [`the backlog of ${most} fell by ${fallsPerSecond.toFixed(0)} a second, while ${perSecond} arrived`]
}

/** The same of its first three quarters, where it was as large as what arrives in some seconds: of less, nothing is measured. */
export function fellSlowlyAtFirst({ most, fallsAtFirstPerSecond }: CatchUp, perSecond: number): string[] {
  return most < REAL_SECONDS * perSecond ? [] : fellSlowly(most, fallsAtFirstPerSecond, perSecond)
}

/** By more than one: a single blob gets through also where nothing else does. */
function leastFall(most: number): number {
  return Math.max(LEAST_FALL, Math.ceil(most * LEAST_FALL_SHARE))
}
