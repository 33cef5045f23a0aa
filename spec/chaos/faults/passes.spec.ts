import { describe, expect, it } from 'vitest'
import { judgePasses, passesBetween } from './passes.ts'

const MINUTE_MS = 60_000

describe('the passes that may have healed something', () => {
  it('are those that began in that time', () => {
    expect(passesBetween([-1000, 1000, 2000, 9000], 0, 3000)).toBe(2)
  })

  it('may be more where it was time for one that was broken off', () => {
    expect(passesBetween([-1000, MINUTE_MS, MINUTE_MS + 1000], 0, MINUTE_MS + 2000)).toBe(3)
    expect(passesBetween([1000, 2000], 0, 3000)).toBe(3)
  })

  it('may be more where it was time for another before the look', () => {
    expect(passesBetween([-1000, 1000, 2000], 0, MINUTE_MS + 2000)).toBe(3)
  })
})

it('Of more passes than were asked for is told, type by type', () => {
  const passes = new Map([
    ['widget', [-1000, 1000, 2000]],
    ['gadget', [-1000, 1000, 2000, 2500]],
  ])
  expect(judgePasses(passes, 0, 3000, 2)).toEqual(['up to 3 passes over gadget had begun before it was looked at'])
})
