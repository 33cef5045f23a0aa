import type { Bench, Outcome } from './measurement.ts'

/** Does the work once and returns how many seconds it took. Checks its result, and throws where it is not whole. */
export type Contender = (round: number) => Promise<number>

export type Sample = {
  readonly medianS: number
  readonly leastS: number
  readonly mostS: number
  readonly allS: readonly number[]
}

/**
 * Lets everybody do the same work in turns, after one round that warms up and does not count. Who begins changes from round to
 * round, so that whatever the machine does meanwhile meets all of them alike.
 */
export async function interleaved<Name extends string>(
  { rounds, say }: Bench,
  contenders: Readonly<Record<Name, Contender>>,
): Promise<Record<Name, Sample>> {
  const names = Object.keys(contenders) as Name[]
  const seconds = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>
  for (let round = 0; round <= rounds; round += 1) {
    const order = round % 2 === 0 ? names : names.toReversed()
    for (const name of order) {
      const took = await contenders[name](round)
      if (round > 0) seconds[name].push(took)
      say(`${round === 0 ? 'warm-up' : `round ${round}`}: ${name} ${took.toFixed(3)} s`)
    }
  }
  return Object.fromEntries(names.map((name) => [name, sampleOf(seconds[name])])) as Record<Name, Sample>
}

export function sampleOf(allS: readonly number[]): Sample {
  const rounded = allS.map((value) => Number(value.toFixed(4)))
  return { medianS: median(rounded), leastS: Math.min(...rounded), mostS: Math.max(...rounded), allS: rounded }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right)
  const middle = sorted.length / 2
  const [left = Number.NaN, right = left] = sorted.slice(Math.ceil(middle) - 1, Math.floor(middle) + 1)
  return (left + right) / 2
}

/** How much faster the first is than the second, by their medians. */
export function ratioOf(ours: Sample, theirs: Sample): number {
  return Number((theirs.medianS / ours.medianS).toFixed(3))
}

/** What a measurement of two sides comes to, by how many times ours is to be faster. */
export function compared(ours: Sample, theirs: Sample, reach: number, figures: Outcome['figures']): Outcome {
  const ratio = ratioOf(ours, theirs)
  return { ratio, reach: `≥ ${reach}`, measured: inWords(ours, theirs), reached: ratio >= reach, figures }
}

/** The ratio in words, and how long both took, with the least and the most of all rounds. */
export function inWords(ours: Sample, theirs: Sample): string {
  return `${ratioOf(ours, theirs)}: ${secondsInWords(ours)} against ${secondsInWords(theirs)}`
}

export function secondsInWords({ medianS, leastS, mostS }: Sample): string {
  const [median, least, most] = [medianS, leastS, mostS].map((seconds) => Number(seconds.toPrecision(3)))
  return `${median} s (${least} to ${most})`
}

export async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const beganMs = performance.now()
  await work()
  return (performance.now() - beganMs) / 1000
}
