import type { Command } from 'commander'
import { printable } from '../printable.ts'
import { requireNoFence } from '../site-fence.ts'
import { insertSite } from '../site-table.ts'
import type { CommandLine } from './command-line.ts'
import { EXIT } from './exit-code.ts'
import { collect, explained } from './explained.ts'
import { wholeNumber } from './numbers.ts'

interface AddOptions {
  name: string
  url: string
  internalUrl?: string
  primary?: true
  filesMaxCapacity?: number
  verificationMaxCapacity?: number
  redirectHost?: string[]
}

export function siteAddCommand(cli: CommandLine): Command {
  return explained({
    name: 'add',
    description: 'Adds a site. Run it where the config names the database of the primary.',
    examples: [
      'site add --name tokyo --url https://tokyo.example --primary',
      'site add --name paris --url https://paris.example',
    ],
    exits: { ok: 'added' },
  })
    .requiredOption('--name <name>', 'the siteName of its processes')
    .requiredOption('--url <url>', 'where people reach it')
    .option('--internal-url <url>', 'where the other sites reach it, if elsewhere')
    .option('--primary', 'this is the primary site')
    .option('--files-max-capacity <count>', 'open transfers at once (default: 10)', wholeNumber)
    .option('--verification-max-capacity <count>', 'checksum batches at once (default: 10)', wholeNumber)
    .option('--redirect-host <host>', 'where it may send other sites for a blob, if elsewhere; several times', collect)
    .action(
      cli.acting<AddOptions>(({ config, debug: _, redirectHost, ...given }) =>
        cli.withSettings({ ...(config && { config }) }, async ({ mainDb, encryptionKey }) => {
          const site = { ...given, ...(redirectHost && { redirectHosts: redirectHost }) }
          await requireNoFence(mainDb)
          const { name, primary, url } = await insertSite(mainDb, encryptionKey, site)
          cli.print(`Added the ${primary ? 'primary' : 'secondary'} site "${printable(name)}" at ${url}\n`)
          return EXIT.ok
        }),
      ),
    )
}
