import type { Command } from 'commander'
import { reencryptSites } from '../site-reencryption.ts'
import type { CommandLine } from './command-line.ts'
import { EXIT } from './exit-code.ts'
import { explained } from './explained.ts'

export function siteReencryptCommand(cli: CommandLine): Command {
  return explained({
    name: 'reencrypt',
    description:
      'Encrypts the keys of all sites with the first encryptionKey. Run it where the config names the database of the primary.',
    text: `For changing encryptionKey without a pause: first every process of every site is given both, then this is run with the new one first in
the list, and then the old one is taken away. The keys of the sites stay the same. Run again it changes nothing.`,
    examples: ['site reencrypt'],
    exits: { ok: 'all are encrypted with the first' },
  }).action(
    cli.acting((options) =>
      cli.withSettings(options, async ({ mainDb, encryptionKeys }) => {
        const changed = await reencryptSites(mainDb, encryptionKeys)
        cli.print(`Encrypted the keys of ${changed} ${changed === 1 ? 'site' : 'sites'} with the first encryptionKey\n`)
        return EXIT.ok
      }),
    ),
  )
}
