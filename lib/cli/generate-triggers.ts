import type { Command } from 'commander'
import { declaredType } from '../blob/declared-type.ts'
import { GeoError } from '../errors.ts'
import { type ColumnsRead, columnsRead } from '../generate/columns-read.ts'
import { placed } from '../generate/file-change.ts'
import { readHost } from '../generate/host.ts'
import { triggersMigration } from '../generate/triggers-migration.ts'
import { snakeCase } from '../generate/type-to-write.ts'
import type { CommandLine } from './command-line.ts'
import { explained } from './explained.ts'
import { type GenerateOptions, requireNames, withGenerateOptions } from './generate-options.ts'
import { migrating } from './migrating.ts'
import { writeFiles } from './write-files.ts'

interface TriggersOptions extends GenerateOptions {
  readonly columns?: string
}

export function generateTriggersCommand(cli: CommandLine): Command {
  const command = explained({
    name: 'triggers',
    description:
      'Writes a migration of the main database: triggers that tell of what raw SQL and other programs write.',
    text: `The columns are those that \`blob\` and \`available\` of the declaration read: both are run, on rows that are not there. Look whether
they are all, for what is read only for certain rows is not found. Shows the diff first.`,
    examples: ['generate triggers Widget', 'generate triggers Widget --columns folder,file_name'],
    exits: { ok: 'written, or there already', no: 'it is there and differs, or the answer was no' },
  })
    .argument('<name>', 'of a type that the config declares: Widget, LineItem or line_item')
    .option(
      '--columns <names>',
      'which columns say which file a row has, with commas (default: found by running the declaration)',
    )
  return withGenerateOptions(command).action(
    cli.acting<TriggersOptions, [string]>((options, given) =>
      cli.withSettings(options, async ({ mainDb, replicables }) => {
        const name = snakeCase(given)
        const replicable = declaredType(new Map(replicables.map((one) => [one.name, one])), name)
        const read = chosenColumns(options, columnsRead(mainDb, replicable))
        if (read === null)
          throw new GeoError('OPTIONS_MISSING', `What blob of ${name} reads was not found. Missing: --columns`)
        const host = await readHost(cli.surroundings.folder, options)
        const files = await placed(host, [triggersMigration(host.style, replicable, read)])
        return writeFiles(cli, host, { files, next: [migrating(host.mainEnvironment)] }, options)
      }),
    ),
  )
}

/** Those that were named; which of them is the file's key is still what the declaration says. */
function chosenColumns({ columns }: TriggersOptions, found: ColumnsRead | null): ColumnsRead | null {
  if (columns === undefined) return found
  const named = columns.split(',').map((column) => column.trim())
  requireNames('--columns', named)
  const blobColumn = found?.blobColumn ?? null
  return { columns: named, blobColumn: blobColumn !== null && named.includes(blobColumn) ? blobColumn : null }
}
