import { expect, it } from 'vitest'
import { oneLine, printable, printableJson, showUnseen } from '../lib/printable.ts'

const UNSEEN = [
  '\u0000',
  '\u0007',
  '\n',
  '\r',
  '\u001b',
  '\u007f',
  '\u0085',
  '\u009b',
  '\u061c',
  '\u200e',
  '\u202e',
  '\u2028',
  '\u2066',
]

it.each(UNSEEN.map((character) => JSON.stringify(character)))(
  'Text shows %s, and JSON of it means the same',
  (json) => {
    const text = `a${JSON.parse(json)}b`
    expect(showUnseen(text)).toMatch(/^a\\u[\da-f]{4}b$/)
    expect(printableJson({ text })).toMatch(/^[\x20-\x7e]+$/)
    expect(JSON.parse(printableJson({ text }))).toEqual({ text })
  },
)

it('What people write stays as it is', () => {
  for (const text of ['caf\u00e9 \u65e5\u672c', '\u{1f469}\u200d\u{1f680}', '\u05d0\u0628', 'a\\b "c"'])
    expect(showUnseen(text)).toBe(text)
})

it('Every text in a value is shown so, however deep, and nothing else changes', () => {
  const at = new Date(0)
  expect(printable({ key: 'a\nb', rows: [{ why: '\u001b[2J' }, null, 1], at })).toEqual({
    key: 'a\\u000ab',
    rows: [{ why: '\\u001b[2J' }, null, 1],
    at,
  })
})

it('A text of others is one line, which is cut', () => {
  expect(oneLine(' a\n\tb\u001b ', 100)).toBe('a b\\u001b')
  expect(oneLine('x'.repeat(2000), 1000)).toHaveLength(1000)
})
