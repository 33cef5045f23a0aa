import { Argument, type Command } from 'commander'
import { printable } from '../printable.ts'
import { beginReadOnly, endReadOnly, sealReadOnly } from '../read-only-mode.ts'
import type { CommandLine, GlobalOptions } from './command-line.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import { explained } from './explained.ts'
import { seconds } from './numbers.ts'

interface ReadOnlyOptions extends GlobalOptions {
  readonly message?: string
  readonly timeout?: number
}

const TIMEOUT_S = 60

export function readOnlyCommand(cli: CommandLine): Command {
  return explained({
    name: 'read-only',
    description: 'The primary takes no writes, or takes them again: before a planned promotion.',
    text: `While it is on, \`geo.readOnly()\` answers writes with 503 READ_ONLY_MODE, and a transaction of the host that tells of a write fails
with it. Background work goes on. The command waits until the writes that were under way have ended; a secondary then knows, once its
replica shows that, that it has all that was ever written. Writes that tell of nothing, by raw SQL without the event triggers, are not held up.`,
    examples: ['read-only on --message "Back in a minute"', 'read-only off'],
    exits: { ok: 'done', no: 'it is on, but a write that was under way has not ended in that time' },
  })
    .addArgument(new Argument('<switch>').choices(['on', 'off']))
    .option('--message <text>', 'what writers are told')
    .option('--timeout <seconds>', `how long to wait for writes that are under way (default: ${TIMEOUT_S})`, seconds)
    .action(cli.acting<ReadOnlyOptions, ['on' | 'off']>((options, to) => switchTo(cli, options, to)))
}

function switchTo(cli: CommandLine, options: ReadOnlyOptions, to: 'on' | 'off'): Promise<ExitCode> {
  const { message = null, timeout = TIMEOUT_S } = options
  return cli.withSite(options, async ({ assembly }) => {
    const { sites, databases, settings, audit } = assembly
    await sites.refresh()
    const { name } = sites.requireMe()
    const shown = printable(name)
    sites.requirePrimary()
    const asked = { operator: null, ip: null, site: name, subject: name, details: { switch: to } } as const
    return audit.during({ ...asked, action: 'site.read_only' }, async () => {
      if (to === 'off') {
        await endReadOnly(databases.main)
        cli.print(`The site "${shown}" takes writes again\n`)
        return EXIT.ok
      }
      await beginReadOnly(databases.main, message)
      const sealed = await cli.untilInterrupted((signal) =>
        sealReadOnly(databases.main, settings.clock, { timeoutMs: timeout * 1000, signal }),
      )
      cli.print(
        sealed
          ? `The site "${shown}" takes no writes: all that were under way have ended\n`
          : `The site "${shown}" takes no new writes, but one that was under way has not ended: end it, and run this again\n`,
      )
      return sealed ? EXIT.ok : EXIT.no
    })
  })
}
