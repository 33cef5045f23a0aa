import { camelCase } from '../blob/names.ts'
import { exported, moduleText, properties, quoted } from './code.ts'
import type { ModuleStyle } from './module-style.ts'
import type { TypeToWrite } from './type-to-write.ts'

/** The declaration of a type: what a host edits. */
export function declarationText(style: ModuleStyle, type: TypeToWrite): string {
  const { names, table, keyColumn, keyType, verification, blobColumn, facts } = type
  const isNullable = facts?.columns.find(({ name }) => name === blobColumn)?.isNullable ?? true
  const column = quoted(blobColumn)
  const row = `<{ ${blobColumn}: string${isNullable ? ' | null' : ''} }>`
  const lines = [
    ...properties({
      name: names.name,
      plural: type.hasOwnPlural ? names.plural : undefined,
      table,
      keyColumn: keyColumn === 'id' ? undefined : keyColumn,
      keyType: keyType === 'bigint' ? undefined : keyType,
      verificationState: verification,
    }),
    'store',
    // In a column that cannot be null, an empty text says that there is no file yet.
    `blob: (row) => row.${blobColumn}${isNullable ? '' : ' || null'}`,
    `available: (query) => query.${isNullable ? `whereNotNull(${column})` : `whereNot(${column}, '')`}`,
  ]
  const variable = camelCase(names.plural)
  return moduleText(
    style,
    [
      { from: 'express-geo-replication', names: ['defineReplicable'] },
      { from: `./store${style.importExtension}`, names: ['store'] },
    ],
    [
      `${exported(style)}const ${variable} = defineReplicable${style.kind === 'typescript' ? row : ''}({\n${lines
        .map((line) => `  ${line},\n`)
        .join('')}})`,
    ],
    [variable],
  )
}
