import type { Command } from 'commander'
import { GeoError } from '../errors.ts'
import type { Preflight } from '../failover/preflight.ts'
import type { Loss } from '../failover/promotion-table.ts'
import type { PromotionReport } from '../promoting.ts'
import type { CommandLine, GlobalOptions } from './command-line.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import { explained } from './explained.ts'
import { firstLines } from './first-lines.ts'

interface PromoteOptions extends GlobalOptions {
  readonly preflight?: true
  readonly force?: true
  readonly phrase?: string
  readonly promoteDatabase?: true
  readonly json?: true
}

const MOST_PRINTED = 20

export function promoteCommand(cli: CommandLine): Command {
  return explained({
    name: 'promote',
    description: 'Makes this secondary the primary.',
    text: `Run it on the secondary, once its database is promoted; --promote-database does that too. Whatever would be lost is listed first:
records whose file is not proven to be here, and, unless the primary was made read only, what it wrote and has not arrived. Then nothing is
done without --force and the phrase that is named, typed at the terminal or given with --phrase.

On a primary that is fenced, with --force and a phrase: makes it the primary again, where the one that took its place is lost for good.

The former primary stays in the table, disabled. All sites are told; where it hears of it, now or later, it serves nothing any more. What was
not proven is looked at, and what is missing or wrong is the report, which is printed again by the same command on the new primary.`,
    examples: ['promote --preflight', 'promote --promote-database', 'promote --promote-database --force'],
    exits: { ok: 'nothing is lost, or would be', no: 'something is, or would be, or may be' },
  })
    .option('--preflight', 'lists what would be lost, and changes nothing')
    .option('--force', 'goes on although something would be lost')
    .option('--phrase <text>', 'with --force: what would have to be typed at the terminal')
    .option('--promote-database', 'promotes the database as well, if it is still a replica (pg_promote)')
    .option('--json', 'as one JSON object: the preflight, or the report with losses row by row')
    .action(cli.acting<PromoteOptions>((options) => promote(cli, options)))
}

function promote(cli: CommandLine, options: PromoteOptions): Promise<ExitCode> {
  const { json } = options
  return cli.withSite(options, async ({ assembly }) => {
    // Most of what a failover needs is behind this.
    const { preflightHere, promote: promoteHere } = await import('../promoting.ts')
    return cli.withProgress(async (progress) => {
      const looked = (records: number) => progress.show(`${records} records looked at`)
      if (options.preflight) {
        const before = await preflightHere(assembly, looked)
        progress.clear()
        if (json) cli.printJson(before)
        else cli.print(preflightText(before))
        return before.passes ? EXIT.ok : EXIT.no
      }
      const report = await promoteHere(assembly, {
        force: options.force === true,
        promotesDatabase: options.promoteDatabase === true,
        looked,
        show(before) {
          progress.clear()
          if (!json) cli.print(preflightText(before))
        },
        ask: (phrase) => typed(cli, options, phrase),
      })
      progress.clear()
      if (json) cli.printJson(report)
      else cli.print(reportText(report))
      return isWhole(report) ? EXIT.ok : EXIT.no
    })
  })
}

/** What had not arrived of an unsealed primary is lost as well, as long as `geo demote` there has not said that it is nothing. */
function isWhole({ losses, ended, sealed, formerSiteName }: PromotionReport): boolean {
  return ended && losses.length === 0 && (sealed || formerSiteName === null)
}

/** Whether it is the right one is not for the terminal to say. */
async function typed({ surroundings }: CommandLine, { phrase }: PromoteOptions, wanted: string): Promise<string> {
  if (phrase !== undefined) return phrase
  if (!surroundings.ask) throw new GeoError('OPTIONS_MISSING', `Missing: --phrase "${wanted}"`)
  return (await surroundings.ask(`Type "${wanted}" to go on: `)).trim()
}

function preflightText(before: Preflight): string {
  const { site, former, database, replayedAt, sealed, types, missingGrants, passes, phrase } = before
  const arrived = replayedAt === null ? '' : ` The last transaction that arrived is of ${replayedAt}.`
  const lines = [
    `The site "${site}" would take the place of ${former === null ? 'no primary' : `"${former}"`}; its database ${database === 'replica' ? 'is still a replica' : 'has been promoted'}.${arrived}`,
    sealed
      ? 'The primary takes no writes of files, and all that it took have arrived.'
      : 'What the primary wrote and has not arrived cannot be told here: make it read only first, where it still runs.',
    ...types.map(({ type, records, unproven }) => `${type}: ${unproven} of ${records} not proven to be here`),
    ...types.flatMap(({ type, rows, unproven }) =>
      firstLines(rows, MOST_PRINTED, (row) => recordLine(type, row, row.state, row.failure), unproven),
    ),
    ...(missingGrants.length > 0 ? ['Its role may not do it yet, for it lacks:'] : []),
    ...firstLines(missingGrants, MOST_PRINTED, (grant) => `  ${grant}`),
    passes ? 'Nothing would be lost.' : `It would ${phrase}.`,
  ]
  return `${lines.join('\n')}\n`
}

function reportText({
  epoch,
  siteName,
  formerSiteName,
  promotedAt,
  replayedAt,
  sealed,
  losses,
  ended,
  told,
}: PromotionReport) {
  const lost = losses.filter(({ finding }) => finding !== 'unproven')
  const unproven = losses.filter(({ finding }) => finding === 'unproven')
  const lines = [
    `The site "${siteName}" has been the primary since ${promotedAt}, in epoch ${epoch}.`,
    ...(sealed || formerSiteName === null
      ? []
      : [
          `What "${formerSiteName}" wrote after ${replayedAt ?? 'the last transaction that arrived'} is not here: \`geo demote\` there lists it.`,
        ]),
    `Lost of what had arrived: ${lost.length} ${lost.length === 1 ? 'file' : 'files'}`,
    ...listed(lost),
    ...(unproven.length > 0
      ? [`There, with nothing recorded to tell by: ${unproven.length}`, ...listed(unproven)]
      : []),
    ...told.map(({ site, epoch: known, problem }) =>
      problem ? `"${site}" has not heard of it: ${problem.message}` : `"${site}" knows of epoch ${known}.`,
    ),
    ...(ended ? [] : ['Not all has been looked at: run this again with `trackingDb` among the options.']),
    ...(ended && formerSiteName !== null
      ? ['Remove `trackingDb` from the options of this site and start its processes anew.']
      : []),
  ]
  return `${lines.join('\n')}\n`
}

function listed(losses: readonly Loss[]): string[] {
  return firstLines(losses, MOST_PRINTED, (loss) => recordLine(loss.type, loss, loss.finding, loss.message))
}

function recordLine(
  type: string,
  { id, key }: { readonly id: string; readonly key: string | null },
  what: string,
  why: string | null,
): string {
  return `  ${type} #${id} ${key ?? '(no key)'}: ${what}${why ? `, ${why}` : ''}`
}
