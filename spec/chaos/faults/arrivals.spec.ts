import { describe, expect, it } from 'vitest'
import { judgeMarker, judgeRate, judgeThroughput, markerWithinMs } from './arrivals.ts'

const LIMITS = { perSecond: 10, backWithinMs: 10_000 }

describe('the throughput', () => {
  const seen = { seconds: 5, acknowledged: 50, verified: 45, waiting: 100 }

  it('is back where nine of ten that the host is told are stored are verified', () => {
    expect(judgeThroughput(seen, 10)).toEqual({
      text: '45 copies were verified in 5.0 s in which the host was acknowledged 50, and 100 waited',
      violations: [],
    })
  })

  it('is not back where fewer are, and the others wait', () => {
    expect(judgeThroughput({ ...seen, verified: 44 }, 10).violations).toEqual([
      'the throughput is not back: 44 copies were verified in 5.0 s in which the host was acknowledged 50, and 100 waited',
    ])
    expect(judgeThroughput({ ...seen, verified: 0, waiting: 21 }, 10).violations).toHaveLength(1)
    expect(judgeThroughput({ ...seen, verified: 44, waiting: 20 }, 10).violations).toEqual([])
  })

  it('is not back where the host itself writes too little', () => {
    expect(judgeThroughput({ seconds: 5, acknowledged: 39, verified: 39, waiting: 0 }, 10).violations).toEqual([
      'the load was too small for the check to mean anything: 7.8 of 10 blobs a second were written for 5 s',
    ])
    expect(judgeThroughput({ seconds: 5, acknowledged: 0, verified: 0, waiting: 0 }, 10).violations).toHaveLength(1)
  })
})

describe('a blob that is published after a fault', () => {
  const marked = { name: 'widgets/7', publishedMs: 200, verifiedMs: 10_000, withinMs: 10_000 }

  it('may come as much later as what waits takes that is more than always', () => {
    expect(markerWithinMs(20, LIMITS)).toBe(10_000)
    expect(markerWithinMs(320, LIMITS)).toBe(20_000)
  })

  it('is verified in time', () => {
    expect(judgeMarker(marked)).toEqual({ text: 'published after 0.2 s, verified after 10.0 s', violations: [] })
  })

  it('is not, where it is verified late, never, or could not be written', () => {
    const late = ['widgets/7, published 0.2 s after all was well, is not verified after 10 s']
    expect(judgeMarker({ ...marked, verifiedMs: 10_001 }).violations).toEqual(late)
    expect(judgeMarker({ ...marked, verifiedMs: null }).violations).toEqual(late)
    expect(judgeMarker({ ...marked, publishedMs: null, verifiedMs: null }).violations).toEqual([
      'the host could not write for 10 s after all was well',
    ])
  })
})

describe('the rate', () => {
  it('is kept where what waits is small in the end, or for one of the last looks', () => {
    expect(judgeRate({ seconds: 5, written: 50, samples: [90, 40, 90, 20, 90] }, 10)).toEqual({
      text: '10 writes a second for 5 s, with 20 to 90 waiting',
      violations: [],
    })
  })

  it('is not kept where what waits stays, also if it was small at first', () => {
    expect(judgeRate({ seconds: 5, written: 50, samples: [0, 10, 21, 30, 25] }, 10).violations).toEqual([
      'the backlog does not stay small while 10 a second arrive: 0, 10, 21, 30, 25',
    ])
  })

  it('is kept where no more waits than what the host wrote beside the load', () => {
    const samples = [0, 20, 40, 60, 80]
    expect(judgeRate({ seconds: 5, written: 80, samples }, 10).violations).toEqual([])
    expect(judgeRate({ seconds: 5, written: 79, samples }, 10).violations).toHaveLength(1)
  })

  it('is not kept where the host writes nothing', () => {
    expect(judgeRate({ seconds: 5, written: 0, samples: [0] }, 10).violations).toEqual([
      'the host wrote nothing for 5 s, though all was well',
    ])
  })
})
