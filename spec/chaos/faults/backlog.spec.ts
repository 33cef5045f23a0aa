import { describe, expect, it } from 'vitest'
import { type CatchUp, Course, fellSlowly, fellSlowlyAtFirst } from './backlog.ts'

const LIMITS = { perSecond: 10, backWithinMs: 10_000 }

/** A look each second; the first one is the one that it begins with. Requests: one a second. */
function courseOf(first: number, ...backlogs: readonly number[]): CatchUp | null {
  const course = new Course(LIMITS, { afterMs: 0, backlog: first })
  for (const [at, backlog] of backlogs.entries()) {
    const end = course.look({ afterMs: (at + 1) * 1000, backlog, requests: at + 1 })
    if (end !== null) return end
  }
  return null
}

describe('the course of a backlog', () => {
  it('ends well at once where next to nothing waits', () => {
    expect(courseOf(20, 20)).toMatchObject({ text: 'a backlog of at most 20', violations: [], most: 20 })
  })

  it('goes on as long as more waits than is always on its way', () => {
    expect(courseOf(400, 300, 200, 21)).toBeNull()
  })

  it('says when it began to fall, how fast, and what was asked for until then', () => {
    expect(courseOf(400, 410, 390, 250, 100, 20)).toEqual({
      text: 'a backlog of 410 began to fall after 3.0 s, by 155 and in all 130 a second',
      violations: [],
      backAfterMs: 3000,
      requestsUntilBack: 3,
      most: 410,
      fallsPerSecond: 130,
      fallsAtFirstPerSecond: 155,
    })
  })

  it('is bad where it begins to fall too late, or by no more than a blob or two', () => {
    const crawling = Array.from({ length: 10 }, (_, at) => 400 - at)
    expect(courseOf(400, ...crawling, 10)?.violations).toEqual(['work began again 11 s after all was well'])
    expect(courseOf(400, ...crawling.slice(1), 10)?.violations).toEqual([])
  })

  it('is bad where it is not gone in the time that it may take', () => {
    const [end] = [courseOf(400, ...Array.from({ length: 200 }, () => 100))]
    expect(end?.violations).toEqual(['100 blobs are still missing 133 s after all was well'])
  })
})

describe('how fast a backlog falls', () => {
  it('is judged by what arrives', () => {
    expect(fellSlowly(21, 30, 10)).toEqual([])
    expect(fellSlowly(21, 29, 10)).toEqual(['the backlog of 21 fell by 29 a second, while 10 arrived'])
    expect(fellSlowly(20, Number.POSITIVE_INFINITY, 10)).toEqual([])
  })

  const judged = (first: number, ...backlogs: readonly number[]) => {
    const end = courseOf(first, ...backlogs)
    return end && fellSlowlyAtFirst(end, 10)
  }

  it('is judged of the first three quarters of a real one', () => {
    expect(judged(400, 370, 340, 310, 280, 250, 220, 190, 160, 130, 100, 99, 98, 20)).toEqual([])
    expect(judged(400, 371, 342, 313, 284, 255, 226, 197, 168, 139, 110, 81, 20)).toEqual([
      'the backlog of 400 fell by 29 a second, while 10 arrived',
    ])
    expect(judged(99, 90, 80, 70, 60, 50, 40, 30, 20)).toEqual([])
    expect(judged(100, 90, 80, 70, 60, 50, 40, 30, 20)).toHaveLength(1)
  })

  it('is judged of all of one that is never gone', () => {
    expect(judged(400, ...Array.from({ length: 200 }, (_, at) => Math.max(110, 400 - 30 * at)))).toHaveLength(1)
  })
})
