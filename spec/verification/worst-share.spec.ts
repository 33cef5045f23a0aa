import { describe, expect, it } from 'vitest'
import { worstShare } from '../../lib/verification/worst-share.ts'

const MANY = 10_000_000

describe('The worst share of bad files that a sample leaves room for', () => {
  it.each([
    // From exact binomial sums in another language, bisected to 1e-12.
    { bad: 0, examined: 1, worst: 0.95 },
    { bad: 0, examined: 20, worst: 0.139108340668 },
    { bad: 1, examined: 20, worst: 0.216106164207 },
    { bad: 2, examined: 10, worst: 0.506901301063 },
    { bad: 5, examined: 10, worst: 0.777558898992 },
    { bad: 9, examined: 10, worst: 0.994883803108 },
    { bad: 0, examined: 100, worst: 0.029513049607 },
    { bad: 1, examined: 100, worst: 0.046559811454 },
    { bad: 5, examined: 20, worst: 0.455582404002 },
    { bad: 3, examined: 1000, worst: 0.007735244718 },
  ])('is that of Clopper and Pearson for $bad of $examined', ({ bad, examined, worst }) => {
    expect(worstShare({ bad, examined, total: MANY })).toBeCloseTo(worst, 9)
  })

  it('is 1 - 0.05^(1/n) where none of n is bad, about 3/n', () => {
    expect(worstShare({ bad: 0, examined: 300, total: MANY })).toBe(1 - 0.05 ** (1 / 300))
    expect(worstShare({ bad: 0, examined: 30_000, total: MANY }) * 30_000).toBeCloseTo(3, 1)
  })

  it('is what there is where all were examined, and no more than the unseen allow where few are left', () => {
    expect(worstShare({ bad: 3, examined: 400, total: 400 })).toBe(3 / 400)
    expect(worstShare({ bad: 0, examined: 400, total: 400 })).toBe(0)
    expect(worstShare({ bad: 0, examined: 399, total: 400 })).toBe(1 / 400)
    expect(worstShare({ bad: 7, examined: 7, total: MANY })).toBe(1)
    expect(worstShare({ bad: 0, examined: 0, total: MANY })).toBe(1)
    expect(worstShare({ bad: 0, examined: 0, total: 0 })).toBe(0)
  })

  it('is found at once also for a large sample', () => {
    const startedAtMs = performance.now()
    const worst = worstShare({ bad: 50_000, examined: 1_000_000, total: MANY })
    expect(worst).toBeGreaterThan(0.05)
    expect(worst).toBeLessThan(0.0504)
    expect(performance.now() - startedAtMs).toBeLessThan(100)
  })
})
