import { expect, it } from 'vitest'
import { slower } from './host-route.ts'

it.each([
  [{ idle: 1, well: 4, ill: 13 }, 0],
  [{ idle: 1, well: 4, ill: 15 }, 1],
  [{ idle: 500, well: 4, ill: 15 }, 1],
  [{ idle: 1, well: 100, ill: 149 }, 0],
  [{ idle: 1, well: 100, ill: 151 }, 1],
])('a host that takes %o is called slower %i times', (taken, violations) => {
  expect(slower(taken).violations).toHaveLength(violations)
})
