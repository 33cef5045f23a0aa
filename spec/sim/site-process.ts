import type { Assembly } from '../../lib/assembly.ts'
import { facadeOf, type Geo } from '../../lib/facade.ts'
import { assemble } from '../../lib/geo.ts'
import type { GeoOptions } from '../../lib/index.ts'
import { parseOptions } from '../../lib/options.ts'
import type { Resources } from '../../lib/resources.ts'
import { settle, step } from '../../lib/testing/settle.ts'
import { type RecordingLogger, recordingLogger } from '../support/recording-logger.ts'
import type { Lifeline } from './lifeline.ts'
import type { SimClock } from './sim-clock.ts'
import type { SimTypes } from './types.ts'

/** A site over its whole life: what it keeps, and the process that works for it now. */
export class SimSite {
  readonly name: string
  readonly root: string
  readonly types: SimTypes
  readonly clock: SimClock
  readonly lifeline: Lifeline
  readonly #resources: Resources
  readonly #options: Omit<GeoOptions, 'replicables' | 'siteName' | 'logger' | 'clock'>
  logger: RecordingLogger = recordingLogger()
  assembly: Assembly
  geo: Geo

  constructor(parts: {
    name: string
    root: string
    types: SimTypes
    clock: SimClock
    lifeline: Lifeline
    resources: Resources
    options: Omit<GeoOptions, 'replicables' | 'siteName' | 'logger' | 'clock'>
  }) {
    this.name = parts.name
    this.root = parts.root
    this.types = parts.types
    this.clock = parts.clock
    this.lifeline = parts.lifeline
    this.#resources = parts.resources
    this.#options = parts.options
    this.assembly = this.assemble()
    this.geo = facadeOf(this.assembly)
  }

  /** A process beside the one that works for the site. */
  assemble(): Assembly {
    const settings = parseOptions({
      ...this.#options,
      siteName: this.name,
      replicables: Object.values(this.types),
      logger: this.logger,
      clock: this.clock,
    })
    return assemble(settings, this.#resources)
  }

  /** Another process takes the place of the one there was, of which nothing is heard any more. */
  async begin(): Promise<void> {
    this.logger = recordingLogger()
    this.assembly = this.assemble()
    this.geo = facadeOf(this.assembly)
    await this.step('sites')
  }

  async step(jobName: string): Promise<boolean> {
    try {
      return await step(this.assembly, jobName)
    } catch (reason) {
      // The loop of a real process would try again later.
      const { code = '' } = reason as { code?: string }
      if (jobName === 'report-position' && code.startsWith('PRIMARY_')) return false
      throw reason
    }
  }

  /**
   * Default: all jobs but those that only count, and the sweep of the stores, which is asked for where something is to be
   * found.
   */
  async settle(
    jobNames: readonly string[] = this.assembly.jobs
      .map(({ name }) => name)
      .filter((name) => !['sweep', 'metrics', 'throughput'].includes(name)),
  ): Promise<void> {
    await settle(this.assembly, jobNames, (jobName) => this.step(jobName))
  }
}
