import { comparedLines } from '../../lib/generate/unified-diff.ts'

const CONTEXT_LINES = 2

/** What turns `before` into `after`, line by line: `-` goes, `+` comes, with a little of what stays around it. Empty if equal. */
export function lineDiff(before: string, after: string): string {
  const compared = comparedLines(before.split('\n'), after.split('\n'))
  const changes = compared.map(({ sign, text }) => `${sign} ${text}`)
  const shown = changes.map((_, at) =>
    changes.slice(Math.max(0, at - CONTEXT_LINES), at + CONTEXT_LINES + 1).some((line) => !line.startsWith('  ')),
  )
  return changes.flatMap((line, at) => (shown[at] ? [line] : shown[at - 1] ? ['  …'] : [])).join('\n')
}
