import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { unifiedDiff } from '../../lib/generate/unified-diff.ts'

/** What `git apply` makes of a file and a diff. */
function applied(path: string, before: string | null, diff: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'geo-diff-'))
  try {
    const file = join(folder, path)
    mkdirSync(dirname(file), { recursive: true })
    if (before !== null) writeFileSync(file, before)
    execFileSync('git', ['apply', '-'], { cwd: folder, input: diff, stdio: ['pipe', 'pipe', 'pipe'] })
    return readFileSync(file, 'utf8')
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const lines = fc.array(fc.constantFrom('a', 'b', 'c', '', '-', '+', '@@ -1 +1 @@'), { maxLength: 30 })
const text = lines.map((all) => all.map((line) => `${line}\n`).join(''))

describe('a unified diff', () => {
  it('makes of one text the other, as git reads it', () => {
    fc.assert(
      fc.property(text, text, (before, after) => {
        fc.pre(before !== after && before !== '' && after !== '')
        expect(applied('a/b.ts', before, unifiedDiff({ path: 'a/b.ts', before, after }))).toBe(after)
      }),
      { numRuns: 40 },
    )
  })

  it.each(['', 'one\n', 'one\n\ntwo\n'])('makes a new file of %j', (after) => {
    expect(applied('new/file.ts', null, unifiedDiff({ path: 'new/file.ts', before: null, after }))).toBe(after)
  })

  it('shows three lines around a change and leaves out the rest', () => {
    const before = 'abcdefghijklm'.split('').join('\n')
    const diff = unifiedDiff({ path: 'x', before: `${before}\n`, after: `${before.replace('g', 'G')}\n` })
    expect(diff).toBe('--- a/x\n+++ b/x\n@@ -4,7 +4,7 @@\n d\n e\n f\n-g\n+G\n h\n i\n j\n')
  })
})
