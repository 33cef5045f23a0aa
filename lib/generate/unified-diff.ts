/** A change of a file as `git diff` shows it and `git apply` takes it. */
export interface DiffOf {
  readonly path: string
  /** Null: the file is new. */
  readonly before: string | null
  readonly after: string
}

const CONTEXT_LINES = 3

export interface Line {
  readonly sign: ' ' | '-' | '+'
  readonly text: string
}

export function unifiedDiff({ path, before, after }: DiffOf): string {
  const lines = comparedLines(linesOf(before ?? ''), linesOf(after))
  // A file without lines has no hunk that could tell of it.
  const head = before === null ? `diff --git a/${path} b/${path}\nnew file mode 100644\n` : ''
  const names = `--- ${before === null ? '/dev/null' : `a/${path}`}\n+++ b/${path}\n`
  const hunks = hunksOf(lines)
  return `${head}${hunks.length > 0 ? names : ''}${hunks.join('')}`
}

function linesOf(text: string): string[] {
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  return lines
}

/** Both files as one list; equal lines are those of the longest common sequence. */
export function comparedLines(before: readonly string[], after: readonly string[]): Line[] {
  const common = Array.from({ length: before.length + 1 }, () => new Array<number>(after.length + 1).fill(0))
  const at = (from: number, to: number): number => common[from]?.[to] ?? 0
  for (let from = before.length - 1; from >= 0; from -= 1) {
    for (let to = after.length - 1; to >= 0; to -= 1) {
      const row = common[from] ?? []
      row[to] = before[from] === after[to] ? at(from + 1, to + 1) + 1 : Math.max(at(from + 1, to), at(from, to + 1))
    }
  }
  const lines: Line[] = []
  for (let from = 0, to = 0; from < before.length || to < after.length; ) {
    const [old, now] = [before[from], after[to]]
    if (old !== undefined && old === now) {
      lines.push({ sign: ' ', text: old })
      from += 1
      to += 1
    } else if (old !== undefined && (now === undefined || at(from + 1, to) >= at(from, to + 1))) {
      lines.push({ sign: '-', text: old })
      from += 1
    } else {
      lines.push({ sign: '+', text: now ?? '' })
      to += 1
    }
  }
  return lines
}

/** The changed lines with what is around them; those that are near each other together. */
function hunksOf(lines: readonly Line[]): string[] {
  const isShown = lines.map((_, at) =>
    lines.slice(Math.max(0, at - CONTEXT_LINES), at + CONTEXT_LINES + 1).some(({ sign }) => sign !== ' '),
  )
  const hunks: string[] = []
  let [oldLine, newLine] = [1, 1]
  for (let at = 0; at < lines.length; ) {
    let end = at
    while (end < lines.length && isShown[end]) end += 1
    const hunk = lines.slice(at, end)
    if (hunk.length > 0) {
      const range = (start: number, count: number): string => `${count === 0 ? start - 1 : start},${count}`
      const [gone, come] = [countOf(hunk, '+'), countOf(hunk, '-')]
      hunks.push(
        `@@ -${range(oldLine, gone)} +${range(newLine, come)} @@\n`,
        ...hunk.map(({ sign, text }) => `${sign}${text}\n`),
      )
    }
    const passed = hunk.length > 0 ? hunk : lines.slice(at, at + 1)
    oldLine += countOf(passed, '+')
    newLine += countOf(passed, '-')
    at += passed.length
  }
  return hunks
}

/** How many lines of one side there are: all but those of the other. */
function countOf(lines: readonly Line[], other: Line['sign']): number {
  return lines.filter(({ sign }) => sign !== other).length
}
