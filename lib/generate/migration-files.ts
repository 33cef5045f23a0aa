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
  const options = keyType === 'uuid' ? list('{', properties({ keyType }), '}') : null
  return {
    database: 'tracking',
    suffix: `create_${names.registryTable}`,
    text: migrationText(style, {
      up: ['createRegistryTable', [quoted(names.name), ...(options ? [options] : [])]],
      down: ['dropRegistryTable', [quoted(names.name)]],
    }),
  }
}

/** Where the primary keeps its checksums. */
export function verificationMigration(style: ModuleStyle, type: TypeToWrite): MigrationToWrite {
  const { names, table, keyColumn, keyType, verification } = type
  const name = quoted(names.name)
  if (verification === 'columns') {
    const options = list('{', properties({ table }), '}')
    return {
      database: 'main',
      suffix: `add_verification_to_${table.replace('.', '_')}`,
      text: migrationText(style, {
        comment: '// The indexes are built concurrently, so that the table can be used meanwhile.',
        outsideTransaction: true,
        up: ['addVerificationColumns', [name, options]],
        down: ['dropVerificationColumns', [name, options]],
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
      up: ['createVerificationStateTable', [name, list('{', options, '}')]],
      down: ['dropVerificationStateTable', [name]],
    }),
  }
}

type Call = readonly [name: string, args: readonly string[]]

interface MigrationParts {
  readonly up: Call
  readonly down: Call
  readonly outsideTransaction?: boolean
  /** Above `config`. */
  readonly comment?: string
}

/** A migration of one call each way. */
export function migrationText(style: ModuleStyle, { up, down, outsideTransaction, comment }: MigrationParts): string {
  const direction = (name: 'up' | 'down', [callee, args]: Call): string => {
    const call = list(`await ${callee}(`, ['knex', ...args], ')', '  ')
    return `${exported(style)}async function ${name}(knex${typed(style, ': Knex')})${typed(style, ': Promise<void>')} {\n  ${call}\n}`
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
