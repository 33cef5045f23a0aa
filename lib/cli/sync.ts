import type { Command } from 'commander'
import type { CommandLine } from './command-line.ts'
import { type DueOptions, workNow } from './due.ts'
import { collect, explained } from './explained.ts'

export function syncCommand(cli: CommandLine): Command {
  return explained({
    name: 'sync',
    description: 'On a secondary: fetches what is due, now and in this process, until nothing is left.',
    text: `What is due: copies that were never fetched, and failed ones whose next attempt has come. --failed and --id do not wait for that
attempt. It reads no events and looks for no differences: that is for \`geo work\` or the processes of the site, beside which it
works, under the same capacity. \`geo resync\` has copies that are here fetched again.`,
    examples: ['sync --all', 'sync widget --failed', 'sync widget --id 42'],
    exits: { ok: 'nothing is due any more', no: 'some failed, or it was interrupted' },
  })
    .argument('[types...]', 'names of types')
    .option('--all', 'all types whose flag is on')
    .option('--id <key>', 'this record of the one type, if it failed, at once; may be given several times', collect)
    .option('--failed', 'all failed ones at once')
    .option('--json', 'as one JSON object: fetched, failed, failures by code')
    .action(cli.acting<DueOptions, [string[]]>((options, types) => workNow(cli, 'sync', types, options)))
}
