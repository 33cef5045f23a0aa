import type { Command } from 'commander'
import { type Host, readHost } from '../generate/host.ts'
import { siteFiles } from '../generate/site-files.ts'
import type { CommandLine } from './command-line.ts'
import { explained } from './explained.ts'
import { type GenerateOptions, withGenerateOptions } from './generate-options.ts'
import { migrating } from './migrating.ts'
import { writeFiles } from './write-files.ts'

export function generateSiteConfigCommand(cli: CommandLine): Command {
  const command = explained({
    name: 'site-config',
    description:
      'Writes what a host needs once: geo.config, geo/store, geo/replicables, geo/geo, and a knexfile where there is none.',
    text: 'Shows the diff first. No file that exists is changed.',
    examples: ['generate site-config --dry-run', 'generate site-config --module commonjs'],
    exits: {
      ok: 'written, or there already',
      no: 'a file that is there differs and is left as it is, or the answer was no',
    },
  })
  return withGenerateOptions(command).action(
    cli.acting<GenerateOptions>(async (options) => {
      const host = await readHost(cli.surroundings.folder, options)
      return writeFiles(cli, host, { files: await siteFiles(host), next: nextSteps(host) }, options)
    }),
  )
}

function nextSteps({ knexfile, mainEnvironment, migrations, style }: Host): string[] {
  const isOurs = mainEnvironment === 'main'
  const isCompiled = style.kind === 'typescript' && style.importExtension === '.js'
  return [
    ...(knexfile === null
      ? []
      : [
          `in ${knexfile}, where they are not there yet: migrationFolders.main of the SDK first in the \`directory\` of ${isOurs ? '`main`' : 'your database'}:
     directory: [migrationFolders.main, './${migrations.main}'], sortDirsSeparately: true
   and an environment \`tracking\` for the database of a secondary with
     directory: [migrationFolders.tracking, './${migrations.tracking}'], sortDirsSeparately: true`,
        ]),
    'set SITE_NAME, MAIN_DATABASE_URL, BLOBS_DIR and GEO_ENCRYPTION_KEY, on a secondary also TRACKING_DATABASE_URL',
    migrating(mainEnvironment),
    `on the primary: npx geo site add --name tokyo --url https://tokyo.example --primary
   and each secondary: npx geo site add --name paris --url https://paris.example`,
    'in the app: app.use(geo.router) and await geo.start(), with `geo` of geo/geo',
    'npx geo generate type Widget --table widgets',
    ...(isCompiled
      ? [
          'imports end in .js, as the tsconfig has it: what compiles them has to run `npx geo` too (NODE_OPTIONS="--import tsx")',
        ]
      : []),
  ]
}
