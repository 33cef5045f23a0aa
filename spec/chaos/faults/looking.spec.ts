import { describe, expect, it } from 'vitest'
import { Looking } from './looking.ts'

describe('a watch beside a fault', () => {
  it('goes on after a look that failed, and says at its end how many did', async () => {
    const said: string[] = []
    let looks = 0
    const looking = new Looking(
      'the sky',
      1,
      (text) => void said.push(text),
      async () => {
        looks += 1
        if (looks === 2) throw new Error('clouds')
      },
    )
    await expect.poll(() => looks).toBeGreaterThan(4)
    await looking.end()
    expect(said).toEqual([expect.stringMatching(/^1 of \d+ looks at the sky failed, the last for: Error: clouds$/)])
  })

  it('is no evidence where most looks failed', async () => {
    const looking = new Looking(
      'the sky',
      1,
      () => undefined,
      async () => {
        throw new Error('clouds')
      },
    )
    await expect(looking.end()).rejects.toThrow('looks at the sky failed')
  })

  it('looks once more when it is ended', async () => {
    let looks = 0
    const looking = new Looking(
      'the sky',
      1,
      () => undefined,
      async () => {
        looks += 1
      },
    )
    const before = looks
    await looking.end()
    expect(looks).toBeGreaterThan(before)
  })
})
