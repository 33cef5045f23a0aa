import { describe, expect, it } from 'vitest'
import { TRICKS, type Trick } from '../mischief.ts'
import { EXPECTED, type Expected, judgePlayed, judgeResumed, type Played, type Resumed } from './spoiled-answers.ts'

const MEBIBYTE = 1024 * 1024
const each = (Object.keys(TRICKS) as Trick[]).flatMap((trick) =>
  EXPECTED[trick].map((expected): readonly [string, Trick, Expected] => [
    `${trick}${expected.only ? ` of ${expected.only}` : ''}`,
    trick,
    expected,
  ]),
)

const played = (codes: readonly string[], change: Partial<Played> = {}): Played => ({
  times: 3,
  played: 3,
  seen: new Set(codes),
  untyped: [],
  goneOn: 3,
  ...change,
})

describe.each(each)('Of %s', (name, trick, expected) => {
  const right = expected.told.length > 0 ? expected.told : expected.codes.slice(0, 1)

  it('nothing is said where it is told by its code, or told of by none that it may go without', () => {
    expect(judgePlayed(trick, expected, played(right))).toEqual([])
  })

  it('another code is a violation', () => {
    expect(judgePlayed(trick, expected, played([...right, 'VERIFICATION_MISMATCH']))).toEqual([
      expect.stringContaining(`${name} is called VERIFICATION_MISMATCH`),
    ])
  })

  it.skipIf(expected.codes.length === 0 || expected.mayBeSilent)('it is a violation where nothing is told', () => {
    expect(judgePlayed(trick, expected, played([]))).toEqual([expect.stringContaining(`${name} was played 3 times`)])
  })

  it.skipIf(!expected.goesOn)('it is a violation where a blob began anew', () => {
    expect(judgePlayed(trick, expected, played(right, { goneOn: 2 }))).toEqual([
      `${name} was played 3 times, and 2 requests went on where one had ended`,
    ])
  })

  it('a failure without a code is a violation, and so is what was not played', () => {
    expect(judgePlayed(trick, expected, played(right, { untyped: ['no'] }))).toEqual([
      `${name}: a failure without a code: no`,
    ])
    expect(judgePlayed(trick, expected, played(right, { played: 2 }))).toEqual([`${name} was played 2 times of 3`])
  })
})

describe('Of large blobs that were cut', () => {
  const bytes = 64 * MEBIBYTE
  const resumed = {
    how: 'cut',
    cuts: 12,
    played: 12,
    blobs: 4,
    bytes,
    asked: 16,
    goneOn: 12,
    bytesSent: bytes,
  } as const satisfies Resumed

  it('nothing is said where they went on', () => {
    expect(judgeResumed(resumed)).toEqual([])
    expect(judgeResumed({ ...resumed, how: 'reset', bytesSent: bytes + 12 * MEBIBYTE })).toEqual([])
  })

  it.each<readonly [string, Partial<Resumed>]>([
    ['more bytes than they have', { bytesSent: bytes * 1.002 }],
    ['more bytes than the kernel may drop at resets', { how: 'reset', bytesSent: bytes + 12 * 2.1 * MEBIBYTE }],
    ['more requests than one each, and one for each cut', { asked: 17 }],
    ['a cut after which one began anew', { goneOn: 11 }],
    ['fewer cuts', { played: 11, goneOn: 11, asked: 15 }],
  ])('%s are a violation', (_, change) => {
    expect(judgeResumed({ ...resumed, ...change })).toHaveLength(1)
  })
})
