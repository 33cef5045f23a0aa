import { Command, InvalidArgumentError } from 'commander'
import type { GeoSettings } from '../options.ts'
import { parseOptions } from '../options.ts'
import { insertSite, listSites, type NewSite } from '../site-table.ts'
import { loadConfig } from './config.ts'

function wholeNumber(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError('must be a whole number, 0 or more')
  return value
}

async function withSettings(config: string | undefined, act: (settings: GeoSettings) => Promise<void>): Promise<void> {
  const settings = parseOptions(await loadConfig(config))
  try {
    await act(settings)
  } finally {
    await Promise.all([settings.mainDb.destroy(), settings.trackingDb?.destroy()])
  }
}

interface AddOptions {
  config?: string
  name: string
  url: string
  internalUrl?: string
  primary?: true
  filesMaxCapacity?: number
  verificationMaxCapacity?: number
}

export function siteCommand(): Command {
  const command = new Command('site').description('The sites, as the table geo_nodes has them.')

  command
    .command('add')
    .description("Adds a site. Run it where the config names the primary's database.")
    .requiredOption('--name <name>', 'the siteName of its processes')
    .requiredOption('--url <url>', 'where people reach it')
    .option('--internal-url <url>', 'where the other sites reach it, if elsewhere')
    .option('--primary', 'this is the primary site')
    .option('--files-max-capacity <count>', 'open transfers at once', wholeNumber)
    .option('--verification-max-capacity <count>', 'checksum batches at once', wholeNumber)
    .option('--config <file>', 'the file that exports the options of createGeo (default: geo.config.*)')
    .action(async ({ config, ...site }: AddOptions) => {
      await withSettings(config, async ({ mainDb, encryptionKey }) => {
        const added = await insertSite(mainDb, encryptionKey, site satisfies NewSite)
        process.stdout.write(
          `Added the ${added.primary ? 'primary' : 'secondary'} site "${added.name}" at ${added.url}\n`,
        )
      })
    })

  command
    .command('list')
    .description('Lists the sites, the primary first.')
    .option('--json', 'as one JSON array')
    .option('--config <file>', 'the file that exports the options of createGeo (default: geo.config.*)')
    .action(async ({ config, json }: { config?: string; json?: true }) => {
      await withSettings(config, async ({ mainDb }) => {
        const sites = (await listSites(mainDb)).map(({ name, primary, enabled, url }) => ({
          name,
          primary,
          enabled,
          url,
        }))
        const lines = sites.map((site) => {
          const role = site.primary ? 'primary' : 'secondary'
          return `${site.name.padEnd(24)} ${role.padEnd(10)} ${site.enabled ? 'enabled ' : 'disabled'} ${site.url}\n`
        })
        process.stdout.write(json ? `${JSON.stringify(sites)}\n` : lines.join(''))
      })
    })

  return command
}
