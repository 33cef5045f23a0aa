import { expect, it } from 'vitest'
import { transferWithCuts } from '../support/cut-transfer.ts'

const GIBIBYTE = 1024 ** 3
const SEED = 20_261_124

const cases = [
  ['20 cuts in a 1 GiB file: at most 1.02 times its size on the wire', 'end', 1.02],
  // Here the kernel of the sending side throws away what it had taken: up to 4 MiB a time that nobody can save.
  ['20 resets in a 1 GiB file cost no more than what the kernel throws away', 'reset', 1.08],
] as const

for (const [title, how, limit] of cases) {
  it(title, async () => {
    const measured = await transferWithCuts({ bytes: GIBIBYTE, seed: SEED, how })
    console.log(`seed ${SEED}, ${how}: ${JSON.stringify(measured)}`)
    expect(measured).toMatchObject({ outcome: 'received', cuts: 20 })
    expect(measured.ratio).toBeLessThanOrEqual(limit)
  })
}
