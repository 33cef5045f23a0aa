import { Ping } from '../ping.ts'
import type { Site } from '../site.ts'
import type { World } from '../world.ts'

/** How much slower the host may answer while something is bad than with the same load where all is well, or than idle where work pauses. */
const MOST = { times: 1.5, moreMs: 8 }
/** Of fewer answers than these a 99th percentile says little. */
const LEAST_ANSWERS = 1000
/**
 * So often it is measured while something is bad, where it is too slow: with the same load and nothing bad the 99th percentile of a
 * thousand answers differs up to eightfold between two halves of a minute on two cores. What is bad all the time is so each time.
 */
const MOST_LOOKS = 3

/** The 99th percentile of what the host's own route took, in milliseconds. */
export interface Taken {
  readonly idle: number
  /** With the same load, and nothing bad. */
  readonly well: number
  readonly ill: number
}

/** Whether what is bad keeps the process from its work: then the host is to answer as where it has none. */
type Work = 'pauses' | 'goes on'

/** The host's own route at one of a site's processes, asked all the time, from when that has nothing to do. */
export class HostRoute {
  readonly #site: Site
  readonly #ping: Ping
  /** The 99th percentile where the process has nothing to do, in milliseconds. */
  readonly idle: number

  private constructor(site: Site, ping: Ping, idle: number) {
    this.#site = site
    this.#ping = ping
    this.idle = idle
  }

  static async open(site: Site): Promise<HostRoute> {
    const ping = new Ping(`${site.nearUrls[0]}/ping`)
    try {
      return new HostRoute(site, ping, await ping.p99(0, LEAST_ANSWERS))
    } catch (reason) {
      await ping.close()
      throw reason
    }
  }

  /** For so long, and longer where that is too few answers. */
  p99(forMs: number): Promise<number> {
    return this.#ping.p99(forMs, LEAST_ANSWERS)
  }

  /** The least of what is measured while something is bad, which is done again as long as it is slower than it may be. */
  async leastWhileBad(well: Omit<Taken, 'ill'>, work: Work, measure: () => Promise<number>): Promise<number> {
    return leastOf(measure, (ill) => slower({ ...well, ill }, work).violations.length > 0)
  }

  /** Tells what was measured, also as figures with the result. What is violated, a sentence each. */
  judge(world: World, kind: string, taken: Taken, work: Work): string[] {
    const what = `${this.#site.name}, ${kind}`
    for (const [name, value] of Object.entries(figuresOf(taken))) world.figure(`${what}: ${name}`, value)
    const { text, violations } = slower(taken, work)
    world.say(`${what}: ${text}`)
    return violations
  }

  close(): Promise<void> {
    return this.#ping.close()
  }
}

/** The least that was measured, up to three times as long as it is too much. */
export async function leastOf(measure: () => Promise<number>, isTooMuch: (least: number) => boolean): Promise<number> {
  let least = await measure()
  for (let look = 1; look < MOST_LOOKS && isTooMuch(least); look += 1) least = Math.min(least, await measure())
  return least
}

const ms = (value: number) => `${value.toFixed(1)} ms`

export function figuresOf({ idle, well, ill }: Taken): Readonly<Record<string, number>> {
  const rounded = (value: number) => Number(value.toFixed(2))
  return {
    idleMs: rounded(idle),
    wellMs: rounded(well),
    illMs: rounded(ill),
    wellByIdle: rounded(well / idle),
    illByIdle: rounded(ill / idle),
    illByWell: rounded(ill / well),
  }
}

export function slower({ idle, well, ill }: Taken, work: Work): { text: string; violations: string[] } {
  const violations: string[] = []
  if (ill > Math.max(MOST.times * well, well + MOST.moreMs))
    violations.push(`the host's own route took ${ms(ill)} (p99), and ${ms(well)} with all well`)
  if (work === 'pauses' && ill > MOST.times * idle + MOST.moreMs)
    violations.push(`the host's own route took ${ms(ill)} (p99), though work pauses, and ${ms(idle)} idle`)
  return {
    text: `the host's own route, p99: ${ms(idle)} idle, ${ms(well)} with the load, ${ms(ill)} meanwhile: ${(ill / idle).toFixed(2)} times idle, ${(ill / well).toFixed(2)} times with the load`,
    violations,
  }
}
