import type { Command } from 'commander'
import type { Assembly } from '../assembly.ts'
import { printable } from '../printable.ts'
import { checkSite } from '../view/check/check-site.ts'
import type { Checked } from '../view/check/outcome.ts'
import { checkType } from '../view/check/type/check-type.ts'
import type { CommandLine, GlobalOptions } from './command-line.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import { explained } from './explained.ts'
import type { Paint } from './paint.ts'

interface CheckOptions extends GlobalOptions {
  readonly json?: true
}

export function checkCommand(cli: CommandLine): Command {
  return ofSite(cli).addCommand(ofType(cli))
}

function ofSite(cli: CommandLine): Command {
  return explained({
    name: 'check',
    description: 'Asks everything that has to be so for this site to replicate, and says what to do where it is not.',
    text: `Databases, standby, migrations, tables, site name, keys, connection to the primary, clock, stores and flags. Changes nothing but
a small file that it writes to each store and removes.`,
    examples: ['check', 'check --json'],
    exits: { ok: 'no answer is no', no: 'at least one is' },
  })
    .option('--json', 'as one JSON array: name, answer, detail or reason, code, advice')
    .action(cli.acting<CheckOptions>((options) => check(cli, options, 'Geo', checkSite)))
}

function ofType(cli: CommandLine): Command {
  return explained({
    name: 'type',
    description: 'Asks everything that has to be so before a type is released, of the site whose config is read.',
    text: `Tables with columns, indexes, constraint and foreign key; states; flag; what status, metrics and GraphQL show; whether the host
tells of what it writes; some files; verification. Harmless on large tables: no more than some thousand rows are read.
Changes nothing. Run it on the primary, then on each secondary: each is asked what applies there.`,
    examples: ['check type widget', 'check type widget --json'],
    exits: { ok: 'no answer is no', no: 'at least one is' },
  })
    .argument('<name>', 'the name of the type')
    .option('--json', 'as one JSON array: name, answer, detail or reason, code, advice')
    .action(
      cli.acting<CheckOptions, [string]>((options, name) =>
        check(cli, options, name, (sources) => checkType(sources, name)),
      ),
    )
}

function check(
  cli: CommandLine,
  { json, ...options }: CheckOptions,
  what: string,
  ask: (assembly: Assembly) => AsyncGenerator<Checked>,
): Promise<ExitCode> {
  return cli.withSite(options, async ({ assembly }) => {
    const results: Checked[] = []
    const answers = ask(assembly)
    if (!json) cli.print(`Checking ${what} ...\n\n`)
    for await (const checked of answers) {
      results.push(checked)
      if (!json) cli.print(lineOf(printable(checked), cli.paint))
    }
    if (json) cli.printJson(results)
    else cli.print(`\nChecking ${what} ... Finished\n`)
    return results.some(({ answer }) => answer === 'no') ? EXIT.no : EXIT.ok
  })
}

/** The layout of GB.K.3. */
function lineOf(checked: Checked, paint: Paint): string {
  const { name, answer } = checked
  if (answer === 'yes') {
    return `${name} ... ${paint.good('yes')}${checked.detail === null ? '' : `, ${checked.detail}`}\n`
  }
  if (answer === 'skipped') return `${name} ... ${paint.aside('skipped')}\n  Reason: ${checked.reason}\n`
  const { code, reason, advice } = checked
  const lines = [
    code === null ? reason : `${code}: ${reason}`,
    'Try fixing it:',
    ...advice,
    ...(code === null ? [] : ['For more information see:', 'docs/errors.md']),
  ]
  return `${name} ... ${paint.bad('no')}\n${lines.map((line) => `  ${line}\n`).join('')}`
}
