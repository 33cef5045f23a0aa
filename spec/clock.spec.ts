import { describe, expect, it } from 'vitest'
import { backoffSeconds, MISSING_ON_PRIMARY_CAP_S, systemClock } from '../lib/clock.ts'

const least = () => 0
const most = () => 1 - Number.EPSILON

/** GB.A.3: the formula up to seven failures, then the ceiling of an hour and delay(1). */
const seconds: [failures: number, from: number, to: number][] = [
  [1, 16, 74],
  [2, 31, 118],
  [3, 96, 212],
  [4, 271, 416],
  [5, 640, 814],
  [6, 1311, 1514],
  [7, 2416, 2648],
  [8, 3616, 3674],
  [100, 3616, 3674],
  [32_767, 3616, 3674],
]

describe('the wait after failures', () => {
  for (const [failures, from, to] of seconds) {
    it(`is from ${from} to ${to} seconds after ${failures}`, () => {
      expect(backoffSeconds(failures, least)).toBe(from)
      expect(backoffSeconds(failures, most)).toBe(to)
    })
  }

  it('of a blob that is missing on the primary goes on to four hours', () => {
    expect(backoffSeconds(9999, least, MISSING_ON_PRIMARY_CAP_S)).toBe(4 * 3600 + 16)
    expect(backoffSeconds(9999, most, MISSING_ON_PRIMARY_CAP_S)).toBe(4 * 3600 + 74)
    expect(backoffSeconds(5, least, MISSING_ON_PRIMARY_CAP_S)).toBe(640)
  })

  it('is spread in whole seconds', () => {
    const waits = Array.from({ length: 29 }, (_, step) => backoffSeconds(1, () => (step + 0.5) / 30))
    expect(new Set(waits).size).toBe(29)
    expect(waits.every(Number.isInteger)).toBe(true)
  })
})

describe('the clock of the system', () => {
  it('ends a sleep as soon as it is told to, without an error', async () => {
    const controller = new AbortController()
    const beganMs = systemClock.monotonicMs()
    const sleeping = systemClock.sleep(60_000, controller.signal)
    controller.abort()
    await sleeping
    await systemClock.sleep(60_000, AbortSignal.abort())
    expect(systemClock.monotonicMs() - beganMs).toBeLessThan(10_000)
  })

  it('sleeps about as long as asked', async () => {
    const beganMs = systemClock.monotonicMs()
    await systemClock.sleep(20)
    expect(systemClock.monotonicMs() - beganMs).toBeGreaterThanOrEqual(18)
  })
})
