import { describe, expect, it } from 'vitest'
import { verifiedInTime } from './kill.ts'

/** What is said where so much is left, so long after the last kill; and how long it was waited for. */
async function looked(left: string | null, sinceMs: number) {
  const waited: number[] = []
  const said: string[] = []
  const settled = async (timeoutMs: number) => {
    waited.push(timeoutMs)
    return left
  }
  const violations = await verifiedInTime({ settled, say: (text) => void said.push(text) }, sinceMs)
  return { violations, waited, said }
}

describe('after the last kill', () => {
  it('all may be verified within 90 s', async () => {
    const { violations, waited, said } = await looked(null, 30_000)
    expect({ violations, waited }).toEqual({ violations: [], waited: [60_000] })
    expect(said).toEqual(['all verified 30.0 s after the last kill'])
  })

  it('what is left is a violation', async () => {
    expect((await looked('3 rows are not verified', 90_000)).violations).toEqual([
      '90.0 s after the last kill 3 rows are not verified',
    ])
  })

  it('what comes too late is one too, also where it was not looked at before', async () => {
    const { violations, waited } = await looked(null, 120_000)
    expect({ violations, waited }).toEqual({
      violations: ['all was verified only 120.0 s after the last kill'],
      waited: [0],
    })
  })
})
