import type { Replicable } from '../blob/replicable.ts'
import { list, properties, quoted } from './code.ts'
import type { ColumnsRead } from './columns-read.ts'
import { type MigrationToWrite, migrationText } from './migration-files.ts'
import type { ModuleStyle } from './module-style.ts'

/** The triggers by which the database itself tells of what is written to the host's table. */
export function triggersMigration(
  style: ModuleStyle,
  { names, table, keyColumn, verificationState }: Replicable,
  { columns, blobColumn }: ColumnsRead,
): MigrationToWrite {
  const stateTable = names.stateTable === `${names.name}_states` ? undefined : names.stateTable
  const options = [
    ...properties({ table, keyColumn: keyColumn === 'id' ? undefined : keyColumn }),
    `columns: ${list('[', columns.map(quoted), ']')}`,
    ...properties({ blobColumn: blobColumn ?? undefined, verificationState, stateTable }),
  ]
  return {
    database: 'main',
    suffix: `create_${names.name}_event_triggers`,
    text: migrationText(style, {
      name: names.name,
      up: ['createEventTriggers', options],
      down: ['dropEventTriggers', properties({ table })],
    }),
  }
}
