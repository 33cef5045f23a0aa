import type { Command } from 'commander'
import type { Demotion } from '../demoting.ts'
import type { CommandLine, GlobalOptions } from './command-line.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import { explained } from './explained.ts'
import { firstLines } from './first-lines.ts'

interface DemoteOptions extends GlobalOptions {
  readonly json?: true
}

const MOST_PRINTED = 50

export function demoteCommand(cli: CommandLine): Command {
  return explained({
    name: 'demote',
    description: 'Brings a former primary back as a secondary. Run it there, twice.',
    text: `First on the database that it had as the primary: it asks the other sites who has become the primary, serves nothing from then on, and
lists every record that it wrote and that had not arrived there: their rows and files exist here alone, so keep what you need.

Then make its database a replica of the new primary's, give it an empty tracking database, and run it again: the new primary enables the
site. Its files stay where they are; those that are right are taken over once they are hashed.`,
    examples: ['demote', 'demote --json > unarrived.json'],
    exits: {
      ok: 'nothing was written that had not arrived, or the site is back',
      no: 'something was, or may have been',
    },
  })
    .option('--json', 'as one JSON object: step, and all that had not arrived')
    .action(cli.acting<DemoteOptions>((options) => demote(cli, options)))
}

function demote(cli: CommandLine, { json, ...options }: DemoteOptions): Promise<ExitCode> {
  return cli.withSite(options, async ({ assembly }) => {
    const { demote: demoteHere } = await import('../demoting.ts')
    const demotion = await demoteHere(assembly)
    cli.answer(json, demotion, textOf)
    return exitCodeOf(demotion)
  })
}

/** Whoever goes on without a look must not lose what may be nowhere else. */
export function exitCodeOf(demotion: Demotion): ExitCode {
  if (demotion.step === 'back') return EXIT.ok
  const { records, incomplete } = demotion.unarrived
  return records.length > 0 || incomplete ? EXIT.no : EXIT.ok
}

function textOf(demotion: Demotion): string {
  if (demotion.step === 'back') {
    return `The site "${demotion.site}" is a secondary of "${demotion.primary}" now: start its processes, and its files are hashed and taken over.\n`
  }
  const { site, promotion, unarrived } = demotion
  const { records, incomplete } = unarrived
  const lines = [
    `"${promotion.siteName}" has been the primary since ${promotion.promotedAt}, in epoch ${promotion.epoch}. "${site}" serves nothing any more.`,
    `Written here and not there: ${records.length} ${records.length === 1 ? 'record' : 'records'}`,
    ...firstLines(
      records,
      MOST_PRINTED,
      ({ type, id, event, at, key }) => `  ${type} #${id} ${key ?? '(no key)'}: ${event} ${at}`,
    ),
    ...(incomplete ? ['Events of that time have been pruned here: there may be more.'] : []),
    'Keep what you need of these rows and files. Then make this database a replica of the new one, and run `geo demote` again.',
  ]
  return `${lines.join('\n')}\n`
}
