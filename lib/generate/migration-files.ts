import { exported, list, moduleText, properties, quoted, typed } from './code.ts'
import type { ModuleStyle } from './module-style.ts'
import type { TypeToWrite } from './type-to-write.ts'

/** A migration whose file is known by what follows its timestamp. */
export interface MigrationToWrite {
  readonly database: 'main' | 'tracking'
  /** Without timestamp and extension: `create_widget_registry`. */
  readonly suffix: string
  readonly text: string
}

const PACKAGE = 'express-geo-replication'

/** What the secondary keeps of the type. */
export function registryMigration(style: ModuleStyle, { names, keyType }: TypeToWrite): MigrationToWrite {
  return {
    database: 'tracking',
    suffix: `create_${names.registryTable}`,
    text: migrationText(style, {
      name: names.name,
      up: ['createRegistryTable', properties({ keyType: keyType === 'bigint' ? undefined : keyType })],
      down: ['dropRegistryTable', []],
    }),
  }
}

/** Where the primary keeps its checksums. */
export function verificationMigration(style: ModuleStyle, type: TypeToWrite): MigrationToWrite {
  const { names, table, keyColumn, keyType, verification } = type
  if (verification === 'columns') {
    return {
      database: 'main',
      suffix: `add_verification_to_${table.replace('.', '_')}`,
      text: migrationText(style, {
        comment: '// The indexes are built concurrently, so that the table can be used meanwhile.',
        outsideTransaction: true,
        name: names.name,
        up: ['addVerificationColumns', properties({ table })],
        down: ['dropVerificationColumns', properties({ table })],
      }),
    }
  }
  const options = properties({
    table,
    keyColumn: keyColumn === 'id' ? undefined : keyColumn,
    keyType: keyType === 'bigint' ? undefined : keyType,
  })
  return {
    database: 'main',
    suffix: `create_${names.stateTable}`,
    text: migrationText(style, {
      name: names.name,
      up: ['createVerificationStateTable', options],
      down: ['dropVerificationStateTable', []],
    }),
  }
}

/** A function of the SDK, and the options that it gets beside the name of the type. */
type Call = readonly [callee: string, options: readonly string[]]

interface MigrationParts {
  /** Of the type. */
  readonly name: string
  readonly up: Call
  readonly down: Call
  readonly outsideTransaction?: boolean
  /** Above `config`. */
  readonly comment?: string
}

/** A migration of one call each way. */
export function migrationText(style: ModuleStyle, parts: MigrationParts): string {
  const { name, up, down, outsideTransaction, comment } = parts
  const direction = (way: 'up' | 'down', [callee, options]: Call): string => {
    const start = `await ${callee}(knex, ${quoted(name)}`
    const call = options.length > 0 ? list(`${start}, {`, options, '})', '  ') : `${start})`
    return `${exported(style)}async function ${way}(knex${typed(style, ': Knex')})${typed(style, ': Promise<void>')} {\n  ${call}\n}`
  }
  const config = `${comment}\n${exported(style)}const config = { transaction: false }`
  return moduleText(
    style,
    [
      { from: PACKAGE, names: [up[0], down[0]].sort() },
      { from: 'knex', types: ['Knex'] },
    ],
    [...(outsideTransaction ? [config] : []), direction('up', up), direction('down', down)],
    [...(outsideTransaction ? ['config'] : []), 'up', 'down'],
  )
}
