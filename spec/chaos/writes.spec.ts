import { describe, expect, it } from 'vitest'
import { sumOf, tooSmall, Writes, writtenText } from './writes.ts'

const at = new Date('2026-01-01T10:20:30Z')

describe('the writes of a host', () => {
  it('are counted from a mark on, with the rate that was reached over all loads', () => {
    const writes = new Writes()
    writes.acknowledged = 7
    writes.loads.push({ fills: false, asked: 1000, acknowledged: 7, seconds: 1 })
    const mark = writes.mark()
    writes.acknowledged += 40
    writes.refused.push({ at, what: 'widgets/1', reason: 'too many clients' })
    writes.loads.push(
      { fills: false, asked: 50, acknowledged: 10, seconds: 1 },
      { fills: false, asked: 50, acknowledged: 30, seconds: 3 },
      { fills: true, asked: 1000, acknowledged: 300, seconds: 3 },
    )
    const written = writes.since(mark)
    expect(written).toEqual({ acknowledged: 40, refused: 1, perSecond: 10, askedPerSecond: 50 })
    expect(writtenText(written)).toBe(
      '40 writes acknowledged, 1 refused; 10 of 50 blobs a second: LESS THAN HALF of what was asked for',
    )
  })

  it('have no rate without a load', () => {
    const writes = new Writes()
    expect(writtenText(writes.since(writes.mark()))).toBe('0 writes acknowledged, 0 refused')
  })

  it('are too few where a steady load came to less than four fifths, but not where it only filled', () => {
    const writes = new Writes()
    writes.loads.push({ fills: false, asked: 50, acknowledged: 1, seconds: 60 })
    const mark = writes.mark()
    writes.loads.push(
      { fills: true, asked: 1000, acknowledged: 300, seconds: 3 },
      { fills: false, asked: 50, acknowledged: 400, seconds: 10 },
    )
    expect(writes.smallLoadsSince(mark)).toEqual([])
    writes.loads.push({ fills: false, asked: 50, acknowledged: 399, seconds: 10 })
    expect(writes.smallLoadsSince(mark)).toEqual([
      'the load was too small for the check to mean anything: 39.9 of 50 blobs a second were written for 10 s',
    ])
  })

  it('are judged together where each load is short', () => {
    const loads = [
      { asked: 30, acknowledged: 23, seconds: 1 },
      { asked: 30, acknowledged: 60, seconds: 2 },
    ]
    expect(tooSmall(sumOf(loads, 30))).toEqual([])
    expect(tooSmall(sumOf(loads.slice(0, 1), 30))).toHaveLength(1)
    expect(tooSmall(sumOf([], 30))).toEqual([])
  })

  it('that were refused are told by their reasons', () => {
    const writes = new Writes()
    writes.refused.push({ at, what: 'widgets/1', reason: 'before it' })
    const mark = writes.mark()
    for (const what of ['a new row of gadgets', 'widgets/2'])
      writes.refused.push({ at, what, reason: 'deadlock detected' })
    writes.refused.push({ at, what: 'widgets/3', reason: 'it is read-only' })
    expect(writes.refusalsSince(mark)).toEqual([
      'the host could not write, 2 times, first a new row of gadgets at 10:20:30, while its database was well: deadlock detected',
      'the host could not write, once, first widgets/3 at 10:20:30, while its database was well: it is read-only',
    ])
  })
})
