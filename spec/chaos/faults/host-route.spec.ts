import { expect, it } from 'vitest'
import { figuresOf, leastOf, slower } from './host-route.ts'

it.each([
  [{ idle: 1, well: 4, ill: 11.9 }, 0],
  [{ idle: 1, well: 4, ill: 12.1 }, 1],
  [{ idle: 500, well: 4, ill: 12.1 }, 1],
  [{ idle: 1, well: 100, ill: 149 }, 0],
  [{ idle: 1, well: 100, ill: 151 }, 1],
])('a host that takes %o is called slower %i times', (taken, violations) => {
  expect(slower(taken, 'goes on').violations).toHaveLength(violations)
})

it.each([
  [{ idle: 2, well: 8, ill: 10.9 }, 0],
  [{ idle: 2, well: 8, ill: 11.1 }, 1],
  [{ idle: 2, well: 3, ill: 11.1 }, 2],
])('a host that takes %o where its work pauses is called slower %i times', (taken, violations) => {
  expect(slower(taken, 'pauses').violations).toHaveLength(violations)
})

it('what it took is told in proportion to what it takes idle', () => {
  const taken = { idle: 2, well: 4, ill: 3 }
  expect(figuresOf(taken)).toEqual({ idleMs: 2, wellMs: 4, illMs: 3, wellByIdle: 2, illByIdle: 1.5, illByWell: 0.75 })
  expect(slower(taken, 'goes on').text).toContain('1.50 times idle, 0.75 times with the load')
})

it.each([
  [[5], 5],
  [[50, 5], 5],
  [[50, 40, 5, 1], 5],
  [[50, 60, 40, 5], 40],
])('of %o it is said to take %i: what is bad all the time is so each time', async (taken, least) => {
  const left = [...taken]
  const measure = async () => left.shift() ?? Number.NaN
  expect(await leastOf(measure, (ill) => ill > 10)).toBe(least)
})
