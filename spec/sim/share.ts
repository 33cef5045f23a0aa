import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { report } from './report.ts'
import { simulate } from './simulate.ts'
import { openWorld, type World } from './world.ts'

/** Files that each run a share of 300 sequences, so that several workers have a part in the longest of all specs. */
const SHARES = 3
const SEQUENCES = 300 / SHARES
// Fixed, so that the same code always gets the same answer here; `npm run sim` looks further, with a seed of its own each time.
const SEED = 20261124
const COMMANDS = 25
// A quarter of it on two cores of its own; the rest is for machines that have other things to do.
const LONGEST_MS = 20 * 60_000

/** The model and both sites, each share with a seed and databases of its own. */
export function simulateShare(share: 1 | 2 | 3): void {
  describe('a reference model of both sites', () => {
    let databases: SpecDatabases
    let world: World

    beforeAll(async () => {
      databases = await createSpecDatabases()
      world = await openWorld(databases)
    })

    afterAll(async () => {
      await world?.close()
      await databases?.destroy()
    })

    it(`agrees with the engine over ${SEQUENCES} random sequences of commands`, { timeout: LONGEST_MS }, async () => {
      const seed = Number(process.env['GEO_SIM_SEED'] ?? SEED) + share
      // What is printed repeats a failure, and `npm run sim` makes it short; that may take longer than a spec should.
      const options = { seed, runs: SEQUENCES, size: COMMANDS, shrink: false }
      const beganMs = performance.now()
      const result = await simulate(world, options)
      const told = report(result, options, performance.now() - beganMs)
      console.log(told)
      expect(result.failure, told).toBeNull()
    })
  })
}
