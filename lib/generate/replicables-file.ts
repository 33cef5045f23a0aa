import { camelCase } from '../blob/names.ts'
import { exported, importLine, list, moduleText, typed } from './code.ts'
import type { ModuleStyle } from './module-style.ts'
import { fileStem, type TypeToWrite } from './type-to-write.ts'

const OPENING = /^(?<open>(?:export )?const replicables\b[^=]*= \[)(?<items>[\w\s,$]*)\]/m
const IMPORT = /^(?:import\s[^;]*?\sfrom\s+|const\s[^;=]*=\s*require\()['"][^'"]+['"]\)?;?$/gm

/** The list of all types of the host, empty. */
export function emptyReplicablesText(style: ModuleStyle): string {
  const annotation = typed(style, ': readonly Replicable<never>[]')
  return moduleText(
    style,
    [{ from: 'express-geo-replication', types: ['Replicable'] }],
    [
      `/** Every type of blob, in the order in which people see them. \`npx geo generate type\` adds to it. */
${exported(style)}const replicables${annotation} = []`,
    ],
    ['replicables'],
  )
}

/** The two lines that a type needs in the list. */
export function replicablesLines(style: ModuleStyle, { names }: TypeToWrite): { line: string; entry: string } {
  const entry = camelCase(names.plural)
  const from = `./${fileStem(names.name)}${style.importExtension}`
  return { line: importLine(style, { from, names: [entry] }) ?? '', entry }
}

/** The list with the type in it, or null where it is not shaped as it was written: nothing is guessed of a person's own code. */
export function withType(style: ModuleStyle, text: string, type: TypeToWrite): string | null {
  const { line, entry } = replicablesLines(style, type)
  const found = OPENING.exec(text)
  if (!found?.groups) return null
  const { open = '', items = '' } = found.groups
  const entries = items.split(',').map((item) => item.trim())
  if (entries.at(-1) === '') entries.pop()
  if (!entries.every((item) => /^[\w$]+$/.test(item))) return null
  if (entries.includes(entry)) return text
  const all = [...entries, entry]
  const isLong = items.includes('\n')
  const whole = isLong ? `${open}\n${all.map((item) => `  ${item},\n`).join('')}]` : list(open, all, ']')
  const [before, after] = [text.slice(0, found.index), text.slice(found.index + found[0].length)]
  return `${withImport(before, line)}${whole}${after}`
}

/** Among the imports, in their order and in their hand: quotes and semicolons. */
function withImport(head: string, line: string): string {
  const imports = [...head.matchAll(IMPORT)]
  const last = imports.at(-1)
  if (!last) return `${line}\n\n${head}`
  const own = pathOf(line)
  const next = imports.find(([other]) => pathOf(other).startsWith('./') && pathOf(other) > own)
  const inHand = `${last[0].includes('"') ? line.replaceAll("'", '"') : line}${last[0].endsWith(';') ? ';' : ''}`
  const at = next ? next.index : last.index + last[0].length
  return next ? `${head.slice(0, at)}${inHand}\n${head.slice(at)}` : `${head.slice(0, at)}\n${inHand}${head.slice(at)}`
}

function pathOf(line: string): string {
  return /['"]([^'"]+)['"]\)?;?$/.exec(line)?.[1] ?? ''
}
