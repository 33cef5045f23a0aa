import type { World } from '../world.ts'
import { copiesOf, fetchedAgain } from './copies.ts'
import { type Failure, watchFailures } from './failures.ts'

/** What came of something to files that are there and right: what was said against them, and which copies were fetched again. */
export interface Harm {
  readonly said: readonly Failure[]
  readonly fetchedAgain: readonly Failure[]
}

/** From when this resolves until it is called. */
export async function watchHarm(world: World): Promise<() => Promise<Harm>> {
  const copies = () => Promise.all(world.secondaries.map((_, at) => copiesOf(world, at)))
  const before = await copies()
  const failures = await watchFailures(world)
  return async () => {
    const said = await failures()
    const after = await copies()
    const again = world.secondaries.flatMap(({ name: site }, at) =>
      [...fetchedAgain(world.ledger, before[at] ?? new Map(), after[at] ?? new Map())].map(([record, text]) => ({
        site,
        record,
        text,
      })),
    )
    return { said, fetchedAgain: again }
  }
}

/** A sentence each. */
export function sentencesOf({ said, fetchedAgain }: Harm): string[] {
  return [
    ...said.map(({ site, record, text }) => `${site} says of ${record}: ${text}`),
    ...fetchedAgain.map(({ site, text }) => `${site}: ${text}`),
  ]
}
