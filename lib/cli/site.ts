import { Command } from 'commander'
import { printable } from '../printable.ts'
import { fenceOf } from '../site-fence.ts'
import { deleteSite, listSites, type Site } from '../site-table.ts'
import type { CommandLine } from './command-line.ts'
import { EXIT } from './exit-code.ts'
import { explained } from './explained.ts'
import { siteAddCommand } from './site-add.ts'
import { siteReencryptCommand } from './site-reencrypt.ts'
import { siteRotateKeyCommand } from './site-rotate-key.ts'
import { siteUpdateCommand } from './site-update.ts'

export function siteCommand(cli: CommandLine): Command {
  return new Command('site')
    .description('The sites, as the table geo_nodes has them.')
    .addCommand(siteAddCommand(cli))
    .addCommand(listCommand(cli))
    .addCommand(siteUpdateCommand(cli))
    .addCommand(siteRotateKeyCommand(cli))
    .addCommand(siteReencryptCommand(cli))
    .addCommand(removeCommand(cli))
}

function listCommand(cli: CommandLine): Command {
  return explained({
    name: 'list',
    description: 'Lists the sites, the primary first.',
    examples: ['site list --json'],
  })
    .option('--json', 'as one JSON array: name, primary, enabled, url, epoch, fencedByEpoch, readOnlySince')
    .action(
      cli.acting<{ json?: true }>(({ json, ...options }) =>
        cli.withSettings(options, async ({ mainDb }) => {
          const sites = (await listSites(mainDb)).map(listed)
          cli.answer(json, sites, (each) => each.map(lineOf).join(''))
          return EXIT.ok
        }),
      ),
    )
}

/** Times in ISO 8601. */
function listed(site: Site) {
  const { name, primary, enabled, url, epoch, readOnly } = site
  const readOnlySince = readOnly && new Date(readOnly.sinceMs).toISOString()
  return {
    name,
    primary,
    enabled,
    url,
    epoch,
    fencedByEpoch: fenceOf(site),
    readOnlySince,
  }
}

function lineOf({ name, primary, enabled, url, fencedByEpoch, readOnlySince }: ReturnType<typeof listed>): string {
  const role = primary ? 'primary' : 'secondary'
  const more = [
    ...(fencedByEpoch === null ? [] : [`fenced by epoch ${fencedByEpoch}`]),
    ...(readOnlySince ? [`takes no writes since ${readOnlySince}`] : []),
  ]
  return `${[name.padEnd(24), role.padEnd(10), enabled ? 'enabled ' : 'disabled', url, ...more].join(' ')}\n`
}

function removeCommand(cli: CommandLine): Command {
  return explained({
    name: 'remove',
    description: 'Forgets a secondary site. Run it where the config names the database of the primary.',
    text: `Its processes stop replicating; its files and its tracking database stay as they are. What is left to do there: drop that
database before the site is added again. A former primary stays in the table until it is back: removed, it is not fenced when it comes.`,
    examples: ['site remove paris'],
    exits: { ok: 'removed' },
  })
    .argument('<name>', 'the siteName of its processes')
    .action(
      cli.acting<object, [string]>((options, name) =>
        cli.withSettings(options, async ({ mainDb }) => {
          await deleteSite(mainDb, name)
          cli.print(`Removed the site "${printable(name)}"\n`)
          return EXIT.ok
        }),
      ),
    )
}
