import type { Command } from 'commander'
import { GeoError } from '../errors.ts'
import type { Preflight, Seal } from '../failover/preflight.ts'
import type { Loss } from '../failover/promotion-table.ts'
import type { ToldSite } from '../failover/tell-epoch.ts'
import { printable } from '../printable.ts'
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
    .option('--json', 'as one JSON object: the preflight, or the report with losses row by row, at most 100,000')
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
        cli.answer(json, before, preflightText)
        return before.passes ? EXIT.ok : EXIT.no
      }
      const report = await promoteHere(assembly, {
        force: options.force === true,
        promotesDatabase: options.promoteDatabase === true,
        looked,
        show(before) {
          progress.clear()
          if (!json) cli.print(preflightText(printable(before)))
        },
        ask: (phrase) => typed(cli, options, phrase),
      })
      progress.clear()
      cli.answer(json, report, reportText)
      return isWhole(report) ? EXIT.ok : EXIT.no
    })
  })
}

/** What had not arrived of an unsealed primary is lost as well, as long as `geo demote` there has not said that it is nothing. */
function isWhole({ lost, unproven, ended, sealed }: PromotionReport): boolean {
  return ended && lost + unproven === 0 && sealed
}

/** Whether it is the right one is not for the terminal to say. */
async function typed({ surroundings }: CommandLine, { phrase }: PromoteOptions, wanted: string): Promise<string> {
  if (phrase !== undefined) return phrase
  if (!surroundings.ask) throw new GeoError('OPTIONS_MISSING', `Missing: --phrase "${wanted}"`)
  return (await surroundings.ask(`Type "${printable(wanted)}" to go on: `)).trim()
}

const SEALS: Readonly<Record<Seal, string>> = Object.freeze({
  none: 'What the primary wrote and has not arrived cannot be told here: make it read only first, where it still runs.',
  unfinished:
    'The primary takes no new writes of files; that those which were under way have ended has not arrived: wait, and ask again.',
  whole: 'The primary takes no writes of files, and all that it took have arrived.',
  lapsed:
    'The primary took no writes of files, and all that it took had arrived; but nothing has come from it for more than ten minutes, in which it may have been told to take writes again. If you know that it was not, nothing of it is missing.',
})

function preflightText(before: Preflight): string {
  const { site, former, database, replayedAt, seal, later, types, missingGrants, passes, phrase } = before
  const arrived = replayedAt === null ? '' : ` The last transaction that arrived is of ${replayedAt}.`
  const lines = [
    `The site "${site}" would take the place of ${former === null ? 'no primary' : `"${former}"`}; its database ${database === 'replica' ? 'is still a replica' : 'has been promoted'}.${arrived}`,
    SEALS[seal],
    ...(later ? [`Another site has been promoted already: "${later.site}" knows of epoch ${later.epoch}.`] : []),
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
  lost,
  unproven,
  ended,
  told,
}: PromotionReport) {
  const lines = [
    `The site "${siteName}" has been the primary since ${promotedAt}, in epoch ${epoch}.`,
    ...(sealed ? [] : [`${whatIsNotHere(formerSiteName, replayedAt)} is not here: \`geo demote\` there lists it.`]),
    `Lost of what had arrived: ${lost} ${lost === 1 ? 'file' : 'files'}`,
    ...listed(losses, lost, ({ finding }) => finding !== 'unproven'),
    ...(unproven > 0 ? [`There, with nothing recorded to tell by: ${unproven}`] : []),
    ...listed(losses, unproven, ({ finding }) => finding === 'unproven'),
    ...told.map((site) => heardText(site, epoch, formerSiteName)),
    ...(ended ? [] : ['Not all has been looked at: run this again with `trackingDb` among the options.']),
    ...(ended && formerSiteName !== null
      ? ['Remove `trackingDb` from the options of this site and start its processes anew.']
      : []),
  ]
  return `${lines.join('\n')}\n`
}

function whatIsNotHere(former: string | null, replayedAt: string | null): string {
  return former === null
    ? 'What another site wrote as the primary meanwhile'
    : `What "${former}" wrote after ${replayedAt ?? 'the last transaction that arrived'}`
}

/** Whoever answers has heard of it. */
function heardText({ site, epoch: known, problem }: ToldSite, epoch: number, former: string | null): string {
  if (problem) return `"${site}" has not heard of it: ${problem.message}`
  if (site === former) return `"${site}" has heard of it, and serves nothing any more.`
  const behind = known !== null && known < epoch ? '; its database does not follow this one yet' : ''
  return `"${site}" has heard of it${behind}.`
}

function listed(losses: readonly Loss[], count: number, which: (loss: Loss) => boolean): string[] {
  const some = losses.filter(which)
  return firstLines(some, MOST_PRINTED, (loss) => recordLine(loss.type, loss, loss.finding, loss.message), count)
}

function recordLine(
  type: string,
  { id, key }: { readonly id: string; readonly key: string | null },
  what: string,
  why: string | null,
): string {
  return `  ${type} #${id} ${key ?? '(no key)'}: ${what}${why ? `, ${why}` : ''}`
}
