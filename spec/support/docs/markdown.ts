/** One line of a table; what would end a cell is escaped. */
export function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [row(head), row(head.map(() => '---')), ...rows.map(row)].join('\n')
}

/** A page with the line that keeps people from editing it. */
export function page(title: string, ...parts: readonly string[]): string {
  return `${[`# ${title}`, '<!-- Written by npm run docs from the code. Do not edit. -->', ...parts].join('\n\n')}\n`
}
