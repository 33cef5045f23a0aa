/** How much slower the host may answer while something is bad: by half, or by what nobody notices. */
const MOST = { times: 1.5, moreMs: 10 }

/** The 99th percentile of what the host's own route took, in milliseconds. */
export interface HostRoute {
  readonly idle: number
  /** With the same load, and nothing bad. */
  readonly well: number
  readonly ill: number
}

const ms = (value: number) => `${value.toFixed(1)} ms`

export function slower({ idle, well, ill }: HostRoute): { text: string; violations: string[] } {
  const most = Math.max(MOST.times * well, well + MOST.moreMs)
  return {
    text: `the host's own route, p99: ${ms(idle)} idle, ${ms(well)} with the load, ${ms(ill)} meanwhile`,
    violations: ill > most ? [`the host's own route took ${ms(ill)} (p99), and ${ms(well)} with all well`] : [],
  }
}
