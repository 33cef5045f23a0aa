import type { Command } from 'commander'
import { printable } from '../printable.ts'
import { rotateSiteKey, SAFE_LEAD_SECONDS } from '../site-rotation.ts'
import type { CommandLine } from './command-line.ts'
import { EXIT } from './exit-code.ts'
import { explained } from './explained.ts'
import { wholeNumber } from './numbers.ts'

export function siteRotateKeyCommand(cli: CommandLine): Command {
  return explained({
    name: 'rotate-key',
    description: 'Gives a site a new key without a pause. Run it where the config names the database of the primary.',
    text: `All sites take the new key as soon as their replicas have it. The site itself signs with it once the lead is over, and the old one is
refused after as long again. Nothing has to be started anew. If the old key is in wrong hands, a short lead shuts it out sooner; a site whose
replica lags behind by more than that cannot be reached until it has caught up. A former primary that is away does not get to know of it, and
is not fenced when it comes back.`,
    examples: ['site rotate-key paris', 'site rotate-key paris --lead 60'],
    exits: { ok: 'changed' },
  })
    .argument('<name>', 'the siteName of its processes')
    .option('--lead <seconds>', `until the site signs with it (default: ${SAFE_LEAD_SECONDS})`, wholeNumber)
    .action(
      cli.acting<{ lead?: number; config?: string }, [string]>(({ lead, ...options }, name) =>
        cli.withSettings(options, async ({ mainDb, encryptionKey }) => {
          const { nextKey, name: known } = await rotateSiteKey(mainDb, encryptionKey, name, lead)
          const at = (ms: number) => new Date(ms).toISOString()
          if (nextKey) {
            cli.print(
              `The site "${printable(known)}" signs with a new key from ${at(nextKey.fromMs)} on; the old one is good until ${at(nextKey.oldUntilMs)}\n`,
            )
          }
          return EXIT.ok
        }),
      ),
    )
}
