import type { Command } from 'commander'
import { printable } from '../printable.ts'
import { bars } from './bars.ts'
import type { CommandLine, GlobalOptions, OpenSite } from './command-line.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import { explained } from './explained.ts'
import { knownStatuses } from './known-statuses.ts'
import { type ShownSite, statusText } from './status-text.ts'

interface StatusOptions extends GlobalOptions {
  readonly site?: string
  readonly json?: true
  readonly watch?: true
}

const LOOK_EVERY_MS = 1000

export function statusCommand(cli: CommandLine): Command {
  return explained({
    name: 'status',
    description: 'Shows how far this site is; on the primary, how far all sites are.',
    text: `What the site gathered of itself last, every 10 to 60 seconds; nothing is counted now. Of other sites it is what they told
the primary. --watch draws a bar for each type until Ctrl-C; where standard output is no terminal, it writes the text again
whenever a site has gathered anew.`,
    examples: ['status', 'status --site paris --json', 'status --watch'],
    exits: { ok: 'shown, whatever it says: `geo check` and `geo wait` answer yes or no' },
  })
    .option('--site <name>', 'only this site')
    .option('--watch', 'goes on until Ctrl-C')
    .option('--json', 'as one JSON array: name, role, url and the fields of docs/status.md')
    .action(
      cli.acting<StatusOptions>((options) =>
        cli.withSite(options, (site) => (options.watch ? watch(cli, site, options) : show(cli, site, options))),
      ),
    )
}

async function show(cli: CommandLine, { assembly }: OpenSite, { site: name, json }: StatusOptions): Promise<ExitCode> {
  const shown = await knownStatuses(assembly, name)
  const nowMs = assembly.settings.clock.nowMs()
  if (json) {
    cli.printJson(
      shown.map(({ site, status }) => ({
        name: site.name,
        role: site.primary ? 'primary' : 'secondary',
        url: site.url,
        ...status,
      })),
    )
  } else cli.print(shown.map((one) => statusText(printed(one), { paint: cli.paint, nowMs })).join(''))
  return EXIT.ok
}

/** What is declared here is printed as it is. */
function printed({ site, status, replicables }: ShownSite): ShownSite {
  return { site: printable(site), status: printable(status), replicables }
}

function watch(cli: CommandLine, site: OpenSite, options: StatusOptions): Promise<ExitCode> {
  const { clock } = site.assembly.settings
  return cli.untilInterrupted(async (signal) => {
    let linesDrawn = 0
    let gatheredBefore = ''
    while (!signal.aborted) {
      const shown = await knownStatuses(site.assembly, options.site)
      const gathered = shown.map(({ status }) => status.updated_at).join()
      if (cli.surroundings.stdout.isTTY) {
        const text = shown.map((one) => bars(printed(one), clock.nowMs())).join('')
        cli.redraw(text, linesDrawn)
        linesDrawn = text.split('\n').length - 1
      } else if (gathered !== gatheredBefore) await show(cli, site, options)
      gatheredBefore = gathered
      await clock.sleep(LOOK_EVERY_MS, signal)
    }
    return EXIT.ok
  })
}
