const CONTEXT_LINES = 2

/** What turns `before` into `after`, line by line: `-` goes, `+` comes, with a little of what stays around it. Empty if equal. */
export function lineDiff(before: string, after: string): string {
  const changes = changedLines(before.split('\n'), after.split('\n'))
  const shown = changes.map((_, at) =>
    changes.slice(Math.max(0, at - CONTEXT_LINES), at + CONTEXT_LINES + 1).some((line) => !line.startsWith('  ')),
  )
  return changes.flatMap((line, at) => (shown[at] ? [line] : shown[at - 1] ? ['  …'] : [])).join('\n')
}

function changedLines(before: readonly string[], after: readonly string[]): string[] {
  const common = longestCommon(before, after)
  const lines: string[] = []
  let from = 0
  let to = 0
  while (from < before.length || to < after.length) {
    if (from < before.length && to < after.length && before[from] === after[to]) {
      lines.push(`  ${before[from]}`)
      from += 1
      to += 1
    } else if (to === after.length || (from < before.length && at(common, from + 1, to) >= at(common, from, to + 1))) {
      lines.push(`- ${before[from]}`)
      from += 1
    } else {
      lines.push(`+ ${after[to]}`)
      to += 1
    }
  }
  return lines
}

/** [from][to]: how many lines the rests of both have in common, in order. */
function longestCommon(before: readonly string[], after: readonly string[]): number[][] {
  const lengths = Array.from({ length: before.length + 1 }, () => new Array<number>(after.length + 1).fill(0))
  for (let from = before.length - 1; from >= 0; from -= 1) {
    for (let to = after.length - 1; to >= 0; to -= 1) {
      const row = lengths[from] ?? []
      row[to] =
        before[from] === after[to]
          ? at(lengths, from + 1, to + 1) + 1
          : Math.max(at(lengths, from + 1, to), at(lengths, from, to + 1))
    }
  }
  return lengths
}

function at(lengths: readonly number[][], from: number, to: number): number {
  return lengths[from]?.[to] ?? 0
}
