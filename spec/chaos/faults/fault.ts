import type { Seeded } from '../seeded.ts'
import type { World } from '../world.ts'

/** How large a fault is, by what its numbers mean; printed with the result. */
export type Size = Readonly<Record<string, number>>

/**
 * One way in which things break. To add one: a file here, its name in `index.ts`.
 *
 * `run` writes through `world.host`, breaks what it breaks, puts everything back as it was, also where it fails, and returns
 * what its own criteria found violated, a sentence each. It need not look at what every check looks at: after it, once the world
 * has settled, all of them are asked (checks/index.ts). All chance comes from `chance`.
 */
export interface Fault<Numbers extends Size = Size> {
  readonly name: string
  readonly title: string
  /** How large it is in a run of an hour or more. */
  readonly full: Numbers
  /** How large it is in a run of five minutes or less; between the two it grows with the minutes. */
  readonly least: Numbers
  /** Set where it breaks the primary's own database: then it judges by itself when that may refuse the host, or slow it down. */
  readonly mayRefuse?: true
  /** Why nothing of it can be done on this machine; null where it can. Not given: it always can. What only a part needs is skipped there. */
  impossible?(world: World): Promise<string | null>
  run(world: World, size: Numbers, chance: Seeded): Promise<string[]>
}

const FULL_MINUTES = 60
const LEAST_MINUTES = 5

/** Each number of a fault by itself, between the least and the full. */
export function sizeFor<Numbers extends Size>(
  { least, full }: Pick<Fault<Numbers>, 'least' | 'full'>,
  minutes: number,
): Numbers {
  const share = Math.min(1, Math.max(0, (minutes - LEAST_MINUTES) / (FULL_MINUTES - LEAST_MINUTES)))
  const sized = Object.entries(full).map(([name, most]) => {
    const from = least[name] ?? most
    return [name, Math.round(from + (most - from) * share)]
  })
  return Object.fromEntries(sized) as Numbers
}
