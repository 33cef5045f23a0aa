import type { Command } from 'commander'
import type { Assembly } from '../assembly.ts'
import { GeoError } from '../errors.ts'
import { printable } from '../printable.ts'
import { updateSite } from '../site-table.ts'
import { askToBeEnabled } from '../transfer/steer.ts'
import type { CommandLine, GlobalOptions } from './command-line.ts'
import { EXIT } from './exit-code.ts'
import { explained } from './explained.ts'

interface PauseOptions extends GlobalOptions {
  readonly site?: string
}

export function pauseCommand(cli: CommandLine): Command {
  return steering(cli, false).addHelpText(
    'afterAll',
    '\nPaused, a site fetches nothing and the primary refuses it; its replica of the database goes on. Events are kept for it.',
  )
}

export function resumeCommand(cli: CommandLine): Command {
  return steering(cli, true)
}

function steering(cli: CommandLine, enabled: boolean): Command {
  const [name, what] = enabled ? ['resume', 'goes on'] : ['pause', 'stops']
  return explained({
    name,
    description: `A secondary ${what} replicating. Run it there, or on the primary with --site.`,
    text: `On the secondary itself this asks the primary, which has to be reachable; its processes follow within five seconds.`,
    examples: [name, `${name} --site paris`],
    exits: { ok: `the site is ${enabled ? 'enabled' : 'disabled'}` },
  })
    .option('--site <name>', 'the secondary; needed on the primary')
    .action(
      cli.acting<PauseOptions>(({ site, ...options }) =>
        cli.withSite(options, async ({ assembly }) => {
          const steered = await steer(assembly, site, enabled)
          cli.print(
            `The site "${printable(steered)}" is ${enabled ? 'enabled' : 'paused'}; its processes follow within seconds\n`,
          )
          return EXIT.ok
        }),
      ),
    )
}

async function steer(assembly: Assembly, name: string | undefined, enabled: boolean): Promise<string> {
  const { sites, databases, repairContext, settings } = assembly
  await sites.refresh()
  const me = sites.requireMe()
  if (me.primary) {
    if (name === undefined) throw new GeoError('INVALID_REQUEST', 'Name the secondary with --site')
    sites.requireUnfenced()
    return (await updateSite(databases.main, name, { enabled })).name
  }
  if (name !== undefined && sites.byName(name) !== me) {
    throw new GeoError('NOT_PRIMARY', 'A secondary may pause only itself')
  }
  await askToBeEnabled({ sites, threads: repairContext.threads, clock: settings.clock }, enabled)
  return me.name
}
