import { type Command, Option } from 'commander'
import { camelCase, nameProblem } from '../blob/names.ts'
import { GeoError, messageOf } from '../errors.ts'
import { declarationFile, type Host, readHost } from '../generate/host.ts'
import { type TableFacts, tableFacts } from '../generate/table-facts.ts'
import { typeFiles } from '../generate/type-files.ts'
import { snakeCase, type TypeToWrite } from '../generate/type-to-write.ts'
import type { CommandLine, GlobalOptions } from './command-line.ts'
import { explained } from './explained.ts'
import { type GenerateOptions, withGenerateOptions } from './generate-options.ts'
import { migrating } from './migrating.ts'
import { type TypeOptions, typeFromAnswers } from './type-answers.ts'
import { writeFiles } from './write-files.ts'

export function generateTypeCommand(cli: CommandLine): Command {
  const command = explained({
    name: 'type',
    description:
      'Writes what a type needs: declaration, migrations of both databases, a flag for Unleash, a spec of all suites.',
    text: `What the options do not say is looked up in the main database of the config, else asked for. The type is added to the list in
geo/replicables; everything else is new files, and no file that exists is overwritten. Shows the diff first.`,
    examples: [
      'generate type Widget --table widgets --verification separate --dry-run',
      'generate type Person --table app.people --verification columns --blob-column portrait_path',
    ],
    exits: {
      ok: 'written, or there already',
      no: 'a file that is there differs and is left as it is, lines are to be added by hand, or the answer was no',
    },
  })
    .argument('<name>', 'Widget, LineItem or line_item')
    .option('--table <table>', "the host's table, with its schema where it is not on the search path")
    .addOption(
      new Option('--verification <where>', "checksums in a table beside the host's, or in columns on it").choices([
        'separate',
        'columns',
      ]),
    )
    .option('--blob-column <column>', "the column with the key of the row's file")
    .option('--key-column <column>', "the table's key")
    .option('--key-type <type>', 'bigint or uuid')
    .option('--plural <name>', 'where English is irregular')
  return withGenerateOptions(command).action(
    cli.acting<TypeOptions & GenerateOptions, [string]>(async (options, given) => {
      const name = snakeCase(given)
      const problem = nameProblem(name)
      if (problem) throw new GeoError('INVALID_REQUEST', `The name ${JSON.stringify(name)} ${problem}`)
      if (OWN_MODULES.includes(name)) throw new GeoError('INVALID_REQUEST', `geo/${name} is the SDK's own module`)
      const host = await readHost(cli.surroundings.folder, options)
      const [store, replicables] = await Promise.all(
        ['store', 'replicables'].map((module) => declarationFile(host.folder, module)),
      )
      if (!store || !replicables) {
        throw new GeoError('HOST_NOT_PREPARED', `There is no geo/${store ? 'replicables' : 'store'} in ${host.folder}`)
      }
      const type = await typeFromAnswers(cli, name, options, (table) => lookUp(cli, options, table))
      const next = nextSteps(type, host)
      return writeFiles(cli, host, { ...(await typeFiles(host, type, replicables)), next }, options)
    }),
  )
}

function nextSteps({ names, table }: TypeToWrite, { mainEnvironment }: Host): string[] {
  const type = camelCase(names.plural)
  return [
    migrating(mainEnvironment),
    `where rows of ${table} are written, in the same transaction: await geo.replicator(${type}).created(row, trx), and so updated
   and deleted`,
    `import geo/flags/${names.flag}.json into Unleash, and switch the flag on`,
  ]
}

const OWN_MODULES = ['store', 'replicables', 'geo']

/** What the database of the config says of the table; null, with a note, where there is no answer. */
async function lookUp(cli: CommandLine, options: GlobalOptions, table: string): Promise<TableFacts | null> {
  try {
    const facts = await cli.withSettings(options, ({ mainDb }) => tableFacts(mainDb, table))
    if (facts === null) cli.note(`the main database has no table ${table}: nothing is looked up there`)
    return facts
  } catch (reason) {
    cli.note(`the main database could not be asked: ${messageOf(reason)}`)
    return null
  }
}
