import { expect, it } from 'vitest'
import { transferWithCuts } from '../support/cut-transfer.ts'

const MEBIBYTE = 1024 * 1024
const SEED = 20_261_124

it('20 cuts in a file cost next to nothing on the wire, and it arrives whole', async () => {
  const { outcome, cuts, ratio } = await transferWithCuts({ bytes: 64 * MEBIBYTE, seed: SEED, how: 'end' })
  expect({ outcome, cuts }, `seed ${SEED}`).toEqual({ outcome: 'received', cuts: 20 })
  // What the proxy had not handed to the kernel at each cut is lost: 20 times up to its buffer.
  expect(ratio, `seed ${SEED}`).toBeLessThan(1.1)
})
