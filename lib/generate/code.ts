import type { ModuleStyle } from './module-style.ts'

/** Text of a module in the style of the host. What is written here is what biome and prettier leave as it is. */

export interface Import {
  readonly from: string
  readonly default?: string
  readonly names?: readonly string[]
  /** Only in TypeScript. */
  readonly types?: readonly string[]
}

const LINE_WIDTH = 120

/** A module: imports, then its parts with an empty line between, then, in CommonJS, what it exports. */
export function moduleText(
  style: ModuleStyle,
  imports: readonly Import[],
  parts: readonly string[],
  exportNames: readonly string[] = [],
): string {
  const head = imports.flatMap((one) => importLine(style, one) ?? []).join('\n')
  const exported =
    style.kind === 'commonjs' && exportNames.length > 0 ? list('module.exports = {', exportNames, '}') : ''
  return `${[head, ...parts, exported].filter((part) => part !== '').join('\n\n')}\n`
}

/** `export ` in front of a declaration, where the style has it. */
export function exported(style: ModuleStyle): string {
  return style.kind === 'commonjs' ? '' : 'export '
}

/** A type annotation, where the style has them. */
export function typed({ kind }: ModuleStyle, annotation: string): string {
  return kind === 'typescript' ? annotation : ''
}

export function importLine(style: ModuleStyle, { from, default: main, names = [], types = [] }: Import): string | null {
  if (style.kind === 'commonjs') {
    const wanted = main ?? (names.length > 0 ? `{ ${names.join(', ')} }` : null)
    return wanted && `const ${wanted} = require('${from}')`
  }
  const typeNames = style.kind === 'typescript' ? types : []
  if (main === undefined && names.length === 0) {
    return typeNames.length > 0 ? `import type { ${typeNames.join(', ')} } from '${from}'` : null
  }
  const all = sorted([...names, ...typeNames.map((name) => `type ${name}`)])
  const wanted = [...(main === undefined ? [] : [main]), ...(all.length > 0 ? [`{ ${all.join(', ')} }`] : [])]
  return `import ${wanted.join(', ')} from '${from}'`
}

function sorted(names: readonly string[]): string[] {
  const plain = (name: string): string => name.replace('type ', '').toLowerCase()
  return [...names].sort((one, other) => (plain(one) < plain(other) ? -1 : 1))
}

/** `open a, b close`, on one line where it fits, else an item a line. */
export function list(open: string, items: readonly string[], close: string, indent = ''): string {
  if (items.length === 0) return `${open}${close}`
  const pad = open.endsWith('{') ? ' ' : ''
  const line = `${indent}${open}${pad}${items.join(', ')}${pad}${close}`
  if (line.length <= LINE_WIDTH && !line.includes('\n')) return line.slice(indent.length)
  return [open, ...items.map((item) => `${indent}  ${item},`), `${indent}${close}`].join('\n')
}

/** A property for each value that there is. */
export function properties(values: Readonly<Record<string, string | undefined>>): string[] {
  return Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${quoted(value)}`]))
}

export function quoted(value: string): string {
  return `'${value.replaceAll(/[\\']/g, String.raw`\$&`)}'`
}
