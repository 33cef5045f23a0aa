import { expect, it } from 'vitest'
import { storm } from './storm.ts'

it('requests are a storm where more come than each slot needs to find out, and a try now and then', () => {
  expect(storm(20, 0, 'at once')).toEqual([])
  expect(storm(21, 0, 'at once')).toEqual(['21 requests came at once; allowed are 20'])
  expect(storm(170, 30, 'in 30 s')).toEqual([])
  expect(storm(171, 30, 'in 30 s')).toEqual(['171 requests came in 30 s; allowed are 170'])
})
