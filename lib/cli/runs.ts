import { Command } from 'commander'
import type { BulkRun } from '../bulk/bulk-run.ts'
import type { CommandLine, GlobalOptions, OpenSite } from './command-line.ts'
import { EXIT } from './exit-code.ts'
import { explained } from './explained.ts'
import { sentenceOf } from './follow-run.ts'

interface RunsOptions extends GlobalOptions {
  readonly json?: true
}

export function runsCommand(cli: CommandLine): Command {
  const showing = (act: (site: OpenSite, id: string) => Promise<BulkRun>) =>
    cli.acting<RunsOptions, [string]>(({ json, ...options }, id) =>
      cli.withSite(options, async (site) => {
        const run = await act(site, id)
        cli.answer(json, run, sentenceOf)
        return EXIT.ok
      }),
    )
  return new Command('runs')
    .description('Bulk runs of this site: what `geo resync`, `geo reverify` and others have started.')
    .addCommand(listCommand(cli))
    .addCommand(
      explained({ name: 'show', description: 'Shows one.', examples: ['runs show 5'], exits: { ok: 'shown' } })
        .argument('<id>', 'its number')
        .option('--json', 'as one JSON object')
        .action(showing(({ geo }, id) => geo.bulk.get(id))),
    )
    .addCommand(
      explained({
        name: 'cancel',
        description: 'Ends one after the page that is being done; what was done stays.',
        examples: ['runs cancel 5'],
        exits: { ok: 'it has ended, now or before' },
      })
        .argument('<id>', 'its number')
        .option('--json', 'as one JSON object')
        .action(showing(({ geo }, id) => geo.bulk.cancel(id))),
    )
}

function listCommand(cli: CommandLine): Command {
  return explained({
    name: 'list',
    description: 'Lists the newest 100, the newest first; ended ones are kept for 30 days.',
    examples: ['runs list'],
    exits: { ok: 'listed' },
  })
    .option('--json', 'as one JSON array')
    .action(
      cli.acting<RunsOptions>(({ json, ...options }) =>
        cli.withSite(options, async ({ geo }) => {
          const runs = await geo.bulk.list()
          cli.answer(json, runs, (each) => (each.length === 0 ? 'There are none\n' : each.map(sentenceOf).join('')))
          return EXIT.ok
        }),
      ),
    )
}
