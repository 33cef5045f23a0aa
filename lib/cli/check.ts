import type { Command } from 'commander'
import { checkSite } from '../view/check/check-site.ts'
import type { Checked } from '../view/check/outcome.ts'
import type { CommandLine, GlobalOptions } from './command-line.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import { explained } from './explained.ts'
import type { Paint } from './paint.ts'

interface CheckOptions extends GlobalOptions {
  readonly json?: true
}

export function checkCommand(cli: CommandLine): Command {
  return explained({
    name: 'check',
    description: 'Asks everything that has to be so for this site to replicate, and says what to do where it is not.',
    text: `Databases, standby, migrations, tables, site name, keys, connection to the primary, clock, stores and flags. Changes nothing but
a small file that it writes to each store and removes.`,
    examples: ['check', 'check --json'],
    exits: { ok: 'no answer is no', no: 'at least one is' },
  })
    .option('--json', 'as one JSON array: name, answer, detail or reason, code, advice')
    .action(cli.acting<CheckOptions>((options) => check(cli, options)))
}

function check(cli: CommandLine, { json, ...options }: CheckOptions): Promise<ExitCode> {
  return cli.withSite(options, async ({ assembly }) => {
    const results: Checked[] = []
    if (!json) cli.print('Checking Geo ...\n\n')
    for await (const checked of checkSite(assembly)) {
      results.push(checked)
      if (!json) cli.print(lineOf(checked, cli.paint))
    }
    if (json) cli.printJson(results)
    else cli.print('\nChecking Geo ... Finished\n')
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
