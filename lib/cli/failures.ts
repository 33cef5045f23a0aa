import type { Command } from 'commander'
import { chosenTypes } from '../chosen-types.ts'
import { GeoError } from '../errors.ts'
import { type FailureGroup, failureGroups } from '../view/failures.ts'
import { grouped } from '../view/quantities.ts'
import type { CommandLine, GlobalOptions, OpenSite } from './command-line.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import { collect, explained } from './explained.ts'
import { runToEnd, sentenceOf } from './follow-run.ts'

interface FailuresOptions extends GlobalOptions {
  readonly type?: string[]
  readonly retry?: string
  readonly json?: true
}

export function failuresCommand(cli: CommandLine): Command {
  return explained({
    name: 'failures',
    description: 'What failed on this site, grouped by code, with the newest example and what to do.',
    text: `No index leads to codes, so this reads the registries once, page by page, each statement bounded. --retry has the failures of one
code tried again at once, by a bulk run: the processes of the site do it.`,
    examples: ['failures', 'failures --type widget --retry FILE_NOT_FOUND'],
    exits: {
      ok: 'nothing failed; with --retry, all are marked',
      no: 'something did; with --retry, a run was cancelled',
    },
  })
    .option('--type <name>', 'only this type; may be given several times (default: all whose flag is on)', collect)
    .option('--retry <code>', 'has those tried again at once')
    .option('--json', 'as one JSON array: type, code, count, newest, advice; with --retry the runs')
    .action(
      cli.acting<FailuresOptions>((options) =>
        cli.withSite(options, (site) => (options.retry ? retry(cli, site, options) : show(cli, site, options))),
      ),
    )
}

async function groupsOf({ assembly }: OpenSite, { type }: FailuresOptions): Promise<FailureGroup[]> {
  await assembly.sites.ensureFresh()
  return failureGroups(assembly, chosenTypes(assembly, type))
}

async function show(cli: CommandLine, site: OpenSite, options: FailuresOptions): Promise<ExitCode> {
  const groups = await groupsOf(site, options)
  const shown = groups.map(({ retries: _, ...group }) => group)
  cli.answer(options.json, shown, (each) =>
    each.length === 0 ? 'Nothing failed\n' : each.map((group) => textOf(group, cli)).join('\n'),
  )
  return groups.length === 0 ? EXIT.ok : EXIT.no
}

function textOf({ type, code, count, newest, advice }: Omit<FailureGroup, 'retries'>, { paint }: CommandLine): string {
  const at = newest.at === null ? '' : ` at ${newest.at}`
  return [
    `${paint.bad(code)}  ${type}: ${grouped(count)}\n`,
    `  Newest: #${newest.id}${at}: ${newest.message ?? 'no message'}\n`,
    ...(advice === null ? [] : [`  What to do: ${advice}\n`]),
  ].join('')
}

async function retry(cli: CommandLine, site: OpenSite, options: FailuresOptions): Promise<ExitCode> {
  const code = options.retry ?? ''
  const groups = (await groupsOf(site, options)).filter((group) => group.code === code)
  const requests = groups.flatMap(({ retries }) => retries)
  if (requests.length === 0) throw new GeoError('INVALID_REQUEST', `Nothing that failed with ${code} can be retried`)
  const runs = await runToEnd(
    cli,
    site,
    requests.map((request) => ({ ...request, requestedBy: 'geo failures' })),
  )
  cli.answer(options.json, runs, (each) => each.map(sentenceOf).join(''))
  const isWhole = runs.length === requests.length && runs.every(({ state }) => state === 'finished')
  if (!isWhole) cli.note('cancelled; what was marked stays marked')
  return isWhole ? EXIT.ok : EXIT.no
}
