import { describe, expect, it } from 'vitest'
import { Format } from '../../../lib/view/admin/format.ts'

const NOW = Date.parse('2026-11-24T12:00:00Z')
const english = new Format('en', NOW)
const german = new Format('de', NOW)
const ago = (seconds: number) => new Date(NOW - seconds * 1000).toISOString()
const asked = (languages: string[]) => Format.of({ acceptsLanguages: () => languages } as never, NOW).language

describe('On the admin pages', () => {
  it('numbers have the separators of the language', () => {
    expect([english.count(1234567), german.count(1234567)]).toEqual(['1,234,567', '1.234.567'])
    expect([english.decimal(0.01234), german.decimal(12.34)]).toEqual(['0.01', '12,3'])
    expect([english.count(null), english.decimal(undefined), english.bytes(null), english.duration(null)]).toEqual([
      '–',
      '–',
      '–',
      '–',
    ])
  })

  it('a share is rounded down, so that only all is all and something is never nothing', () => {
    expect(english.share(999_999, 1_000_000)).toBe('99.9%')
    expect(english.share(10, 10)).toBe('100%')
    expect(english.share(1, 1_000_000)).toBe('< 1%')
    expect(english.share(0, 5)).toBe('0%')
    expect(english.share(1, 0)).toBe('– %')
    expect(english.share(null, 5)).toBe('– %')
    expect(german.share(2, 3)).toBe('66,6\u00a0%')
  })

  it('sizes and lengths of time have units', () => {
    expect([0, 999, 1000, 1_234_567, 5e15].map((value) => english.bytes(value))).toEqual([
      '0 bytes',
      '999 bytes',
      '1 kB',
      '1.23 MB',
      '5 PB',
    ])
    expect([1, 90, 150, 7200, 200_000].map((value) => english.duration(value))).toEqual([
      '1 second',
      '90 seconds',
      '3 minutes',
      '2 hours',
      '2 days',
    ])
    expect(german.duration(150)).toBe('3 Minuten')
  })

  it('moments are told by how long ago they were, and change once a minute at most', () => {
    expect([0, 59, 60, 3599, 7300, 90_000].map((seconds) => english.relative(ago(seconds)))).toEqual([
      'now',
      'now',
      '1 minute ago',
      '59 minutes ago',
      '2 hours ago',
      'yesterday',
    ])
    expect(english.relative(ago(-120))).toBe('in 2 minutes')
    expect(german.relative(ago(120))).toBe('vor 2 Minuten')
    expect(english.exact(ago(0))).toMatch(/Nov 24, 2026, 12:00:00.PM UTC/)
  })

  it('the language is the first of the browser that there is, and English else', () => {
    expect(asked(['de-CH', 'fr'])).toBe('de-CH')
    expect(asked(['*'])).toBe('en')
    expect(asked(['x-klingon', '"><script>', 'fr'])).toBe('fr')
    expect(asked(['de_', 'a'.repeat(500)])).toBe('en')
    expect(asked([])).toBe('en')
  })
})
