import { moduleText, quoted, typed } from './code.ts'
import type { ModuleStyle } from './module-style.ts'
import type { ColumnFacts } from './table-facts.ts'
import type { TypeToWrite } from './type-to-write.ts'

/** What inserts a row of the host in specs, with a value for every column that the table insists on. */
export function factoryText(style: ModuleStyle, type: TypeToWrite): string {
  const { names, table, keyColumn, blobColumn, facts } = type
  const needed = (facts?.columns ?? []).filter(
    ({ name, isNullable, hasDefault }) => !isNullable && !hasDefault && name !== blobColumn,
  )
  const values = needed.map(({ name, ...column }) => ({ name, ...placeholder({ name, ...column }, style) }))
  const blob = facts?.columns.find(({ name }) => name === blobColumn)
  const blobValue = blob && !blob.isNullable ? "blobKey ?? ''" : 'blobKey'
  const usesUuid = values.some(({ value }) => value.includes('randomUUID()'))
  const hint = facts === null ? '  // The columns that the table insists on belong here too.\n' : ''
  const insertName = `insert${names.className}`
  const lines = [
    `${blobColumn}: ${blobValue},`,
    ...values.map(({ name, value, remark }) => `${name}: ${value},${remark ? ` // ${remark}` : ''}`),
  ]
  const signature =
    style.kind === 'typescript'
      ? `export const ${insertName}: InsertRow = async (db, { blobKey }) => {`
      : `${style.kind === 'esm' ? 'export ' : ''}async function ${insertName}(db, { blobKey }) {`
  return moduleText(
    style,
    [
      ...(usesUuid ? [{ from: 'node:crypto', names: ['randomUUID'] }] : []),
      { from: 'express-geo-replication/testing', types: ['InsertRow'] },
    ],
    [
      `/** Inserts a row of ${table} whose file lies under \`blobKey\`, or which has none yet, and returns its key. */
${signature}
${hint}  const [row] = await db(${quoted(table)})
    .insert({
${lines.map((line) => `      ${line}\n`).join('')}    })
    .returning(${quoted(keyColumn)})
  return String(row${typed(style, '?')}.${keyColumn})
}`,
    ],
    [insertName],
  )
}

const NUMBER = /^(smallint|integer|bigint|numeric|real|double precision)/

/** A value that a column of that type takes, as code. */
function placeholder(
  { name, type, refersTo, firstLabel }: ColumnFacts,
  style: ModuleStyle,
): { value: string; remark?: string } {
  if (refersTo !== null)
    return { value: typed(style, 'null as never') || 'null', remark: `the key of a row of ${refersTo}` }
  if (firstLabel !== null) return { value: quoted(firstLabel) }
  const length = /^character(?: varying)?\((\d+)\)$/.exec(type)?.[1]
  if (length !== undefined && Number(length) < UUID_LENGTH) return { value: `randomUUID().slice(0, ${length})` }
  if (/^(text|citext|character|uuid)/.test(type)) return { value: 'randomUUID()' }
  if (type.endsWith('[]')) return { value: "'{}'" }
  if (NUMBER.test(type)) return { value: '1' }
  if (type.startsWith('timestamp') || type === 'date') return { value: 'new Date()' }
  const known = OTHER_TYPES[type.replace(/\(.*\)/, '')]
  return known === undefined ? { value: "''", remark: `a value of the type ${type} for ${name}` } : { value: known }
}

const UUID_LENGTH = 36
const OTHER_TYPES: Readonly<Record<string, string>> = {
  boolean: 'false',
  json: "'{}'",
  jsonb: "'{}'",
  bytea: "Buffer.from('')",
  inet: "'127.0.0.1'",
  cidr: "'127.0.0.0/8'",
  interval: "'0'",
  'time without time zone': "'00:00'",
  'time with time zone': "'00:00+00'",
}
