import { describe, expect, it } from 'vitest'
import { type Backlog, EMPTY_BACKLOG, followBacklog, parseBacklog } from '../../lib/view/backlog.ts'

const MINUTE_MS = 60_000

/** A site that is looked at once a minute: what it says each time. */
function follow(
  waiting: readonly number[],
  { impossibleAt = [] }: { impossibleAt?: readonly number[] } = {},
): boolean[] {
  let backlog: Backlog = EMPTY_BACKLOG
  return waiting.map((count, minute) => {
    const sample = { atMs: minute * MINUTE_MS, waiting: count }
    backlog = followBacklog(parseBacklog(JSON.parse(JSON.stringify(backlog))), sample, !impossibleAt.includes(minute))
    return backlog.fallingBehind
  })
}

const minutes = (count: number, waiting: (minute: number) => number) =>
  Array.from({ length: count }, (_, minute) => waiting(minute))

describe('A secondary falls behind', () => {
  it('when its backlog has grown for ten minutes, and not before', () => {
    const told = follow(minutes(15, (minute) => 100 + minute * 20))
    expect(told.indexOf(true)).toBeGreaterThanOrEqual(7)
    expect(told.slice(10)).toEqual(told.slice(10).fill(true))
  })

  it('until the backlog is no larger than ten minutes ago: a single better minute changes nothing', () => {
    const grows = minutes(12, (minute) => 100 + minute * 50)
    expect(follow([...grows, 640]).at(-1)).toBe(true)
    expect(follow([...grows, ...minutes(10, (minute) => 600 - minute * 50)]).at(-1)).toBe(false)
  })

  it('no longer once nothing waits', () => {
    expect(follow([...minutes(12, (minute) => 100 + minute * 50), 0]).at(-1)).toBe(false)
  })

  it('not while its backlog goes up and down, or shrinks, or stands still', () => {
    expect(follow(minutes(60, (minute) => 1000 + (minute % 2) * 500))).not.toContain(true)
    expect(follow(minutes(60, (minute) => 1000 - minute * 10))).not.toContain(true)
    expect(follow(minutes(60, () => 1000))).not.toContain(true)
  })

  it('not while the first filling is under way: many rows at once that grow fewer', () => {
    expect(follow(minutes(60, (minute) => (minute < 3 ? minute * 100_000 : 300_000 - minute * 5000)))).not.toContain(
      true,
    )
  })

  it('not by what gathers while no work is possible', () => {
    const impossibleAt = minutes(30, (minute) => minute)
    expect(
      follow(
        minutes(30, (minute) => 100 + minute * 50),
        { impossibleAt },
      ),
    ).not.toContain(true)
  })
})

it('A backlog that another version has stored, or none, begins anew', () => {
  for (const stored of [undefined, null, 7, {}, { samples: 'x' }]) expect(parseBacklog(stored)).toEqual(EMPTY_BACKLOG)
  expect(parseBacklog({ samples: [null, {}], fallingBehind: 1 })).toEqual(EMPTY_BACKLOG)
})
