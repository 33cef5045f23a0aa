import { type Command, Option } from 'commander'
import type { BulkAction, BulkFilter, BulkRequest } from '../bulk/request.ts'
import { SYNC_STATE } from '../registry/sync-state.ts'
import { VERIFICATION_STATE } from '../verification/verification-state.ts'
import { chosenBy, requireOneTypeFor } from './chosen.ts'
import type { CommandLine, GlobalOptions, OpenSite } from './command-line.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import { collect, explained } from './explained.ts'
import { runToEnd, sentenceOf } from './follow-run.ts'

interface BulkOptions extends GlobalOptions {
  readonly all?: true
  readonly id?: string[]
  readonly failed?: true
  readonly syncState?: NonNullable<BulkFilter['syncState']>
  readonly verificationState?: NonNullable<BulkFilter['verificationState']>
  readonly errorCode?: string
  readonly dryRun?: true
  readonly wait: boolean
  readonly json?: true
}

const DESCRIPTIONS: Readonly<Record<BulkAction, string>> = {
  resync: 'On a secondary: marks copies, synced ones too, to be fetched again.',
  reverify: 'Marks files, verified ones too, to be hashed again; on any site.',
}

/** Starts bulk runs: what is marked is worked by the processes of the site. */
export function bulkCommand(cli: CommandLine, action: BulkAction): Command {
  const instead = action === 'resync' ? 'sync' : 'verify'
  return explained({
    name: action,
    description: DESCRIPTIONS[action],
    text: `This starts a bulk run, which marks the rows page by page; the processes of the site then work what is marked, beside all else.
The command waits until all are marked. Ctrl-C cancels the run: what was marked stays marked. \`geo ${instead}\` works what is due
already, in its own process. All filters that are given must hold.`,
    examples: [`${action} widget --id 42`, `${action} --all --failed`, `${action} widget --dry-run`],
    exits: { ok: 'all are marked, or with --no-wait the runs are stored', no: 'a run was cancelled' },
  })
    .argument('[types...]', 'names of types')
    .option('--all', 'all types whose flag is on')
    .option('--id <key>', 'only this record of the one type; may be given several times', collect)
    .option('--failed', `only those whose ${action === 'resync' ? 'sync' : 'verification'} failed`)
    .addOption(
      new Option('--sync-state <state>', 'only those; on a secondary')
        .choices(Object.keys(SYNC_STATE))
        .conflicts(action === 'resync' ? 'failed' : []),
    )
    .addOption(
      new Option('--verification-state <state>', 'only those')
        .choices(Object.keys(VERIFICATION_STATE))
        .conflicts(action === 'reverify' ? 'failed' : []),
    )
    .option('--error-code <code>', 'only those that failed with it; on a secondary')
    .option('--dry-run', 'only counts')
    .option('--no-wait', 'only stores the runs, for the processes of the site')
    .option('--json', 'as one JSON array of runs')
    .action(
      cli.acting<BulkOptions, [string[]]>((options, types) =>
        cli.withSite(options, (site) => start(cli, site, action, types, options)),
      ),
    )
}

async function start(
  cli: CommandLine,
  site: OpenSite,
  action: BulkAction,
  names: readonly string[],
  { all, wait, json, ...options }: BulkOptions,
): Promise<ExitCode> {
  await site.assembly.sites.ensureFresh()
  const replicables = chosenBy(site.assembly, names, all ?? false)
  requireOneTypeFor(options.id, replicables)
  const requests = replicables.map(
    (type): BulkRequest => ({
      action,
      type,
      filter: filterOf(action, options),
      dryRun: options.dryRun ?? false,
      requestedBy: 'the command geo',
    }),
  )
  const runs = wait ? await runToEnd(cli, site, requests) : []
  if (!wait) for (const request of requests) runs.push(await site.geo.bulk.start(request))
  cli.answer(json, runs, (each) => each.map(sentenceOf).join(''))
  const isWhole = runs.length === requests.length && runs.every(({ state }) => state !== 'cancelled')
  if (!isWhole) cli.note('cancelled; what was marked stays marked')
  else if (wait && runs.some(({ changed, dryRun }) => changed > 0 && !dryRun))
    cli.note('the processes of this site work what is marked: `geo wait` waits for them')
  return isWhole ? EXIT.ok : EXIT.no
}

function filterOf(
  action: BulkAction,
  { id, failed, syncState, verificationState, errorCode }: Omit<BulkOptions, 'wait'>,
): BulkFilter {
  return {
    ...(id && { ids: id }),
    ...(failed && (action === 'resync' ? { syncState: 'failed' } : { verificationState: 'failed' })),
    ...(syncState && { syncState }),
    ...(verificationState && { verificationState }),
    ...(errorCode && { errorCode }),
  }
}
