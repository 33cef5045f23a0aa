import { setTimeout as sleep } from 'node:timers/promises'
import type { Finding } from '../../../lib/view/finding.ts'
import type { Site } from '../site.ts'
import type { World } from '../world.ts'
import { Looking } from './looking.ts'

const LOOK_EVERY_MS = 500

type Seen = Pick<World, 'health' | 'say'>

/** Looks at what a site says of its health, again and again. */
export class HealthWatch {
  readonly #world: Seen
  readonly #site: Site
  readonly #looking: Looking
  #findings: readonly Finding[] = []
  /** The first message of each code since it began, hints included. */
  readonly heard = new Map<string, string>()
  isHealthy = true
  /** Whether it was ill at any time. */
  wasIll = false

  constructor(world: Seen, site: Site) {
    this.#world = world
    this.#site = site
    this.#looking = new Looking(`the health of ${site.name}`, LOOK_EVERY_MS, world.say, () => this.#look())
  }

  /** What is said under this code now, as soon as it is; null where it is not in time. */
  async hears(code: string, timeoutMs: number): Promise<string | null> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const finding = this.#findings.find((one) => one.code === code)
      if (finding) return finding.message
      if (performance.now() > deadline) return null
      await sleep(LOOK_EVERY_MS / 2)
    }
  }

  /** Null as soon as none of these codes is said any more and the site is well; else, when time is up, what it says. */
  async recovers(codes: readonly string[], timeoutMs: number): Promise<string | null> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const left = this.#findings.filter(({ code }) => codes.includes(code))
      if (left.length === 0 && this.isHealthy) return null
      if (performance.now() > deadline)
        return this.#findings.map(({ code, message }) => `${code}: ${message}`).join('; ')
      await sleep(LOOK_EVERY_MS / 2)
    }
  }

  /** Ends it, and says how often the site could not be asked. Throws where it mostly could not: then it has watched nothing. */
  async close(): Promise<void> {
    await this.#looking.end()
  }

  async #look(): Promise<void> {
    const { status, findings } = await this.#world.health(this.#site)
    this.#findings = findings
    this.isHealthy = status === 'healthy'
    this.wasIll ||= !this.isHealthy
    for (const { code, message } of findings) if (!this.heard.has(code)) this.heard.set(code, message)
  }
}
