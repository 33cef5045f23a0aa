import type { Command } from 'commander'
import type { Assembly } from '../assembly.ts'
import { chosenTypes } from '../chosen-types.ts'
import { GeoError } from '../errors.ts'
import { missingElsewhere, missingHere } from '../view/up-to-date.ts'
import type { CommandLine, GlobalOptions } from './command-line.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import { collect, explained } from './explained.ts'
import { seconds } from './numbers.ts'

interface WaitOptions extends GlobalOptions {
  readonly type?: string[]
  readonly site?: string
  readonly timeout?: number
  readonly json?: true
}

const LOOK_EVERY_MS = 1000
// Counting is to take at most a twentieth of the time, however many rows there are.
const REST_PER_LOOK = 20

export function waitCommand(cli: CommandLine): Command {
  return explained({
    name: 'wait',
    description: 'Waits until everything is replicated and verified.',
    text: `On a secondary: until it has read every event that its replica of the primary has, has compared every type with the host's rows
once, and each copy is verified. On the primary: until the secondaries that are enabled have told of that after they read the
last event. As long as the host writes there may always be something left: stop writes first where it has to end.`,
    examples: ['wait --timeout 3600', 'wait --site paris --type widget'],
    exits: { ok: 'all is replicated and verified', no: 'the time was up, or it was interrupted' },
  })
    .option('--type <name>', 'only this type; may be given several times (default: all whose flag is on)', collect)
    .option('--site <name>', 'on the primary: only this secondary')
    .option('--timeout <seconds>', 'how long at most (default: without end)', seconds)
    .option('--json', 'as one JSON object: done, waitingFor')
    .action(cli.acting<WaitOptions>((options) => wait(cli, options)))
}

function wait(cli: CommandLine, options: WaitOptions): Promise<ExitCode> {
  const { json, timeout = Number.POSITIVE_INFINITY } = options
  return cli.withSite(options, ({ assembly }) =>
    cli.untilInterrupted((signal) =>
      cli.withProgress(async (progress) => {
        const { clock } = assembly.settings
        const beganAtMs = clock.monotonicMs()
        for (;;) {
          const lookedAtMs = clock.monotonicMs()
          const missing = await missingNow(assembly, options)
          const nowMs = clock.monotonicMs()
          const leftMs = beganAtMs + timeout * 1000 - nowMs
          if (missing.length === 0 || leftMs <= 0 || signal.aborted) {
            progress.clear()
            return answer(cli, missing, json)
          }
          progress.show(missing.join('; '))
          const restMs = Math.max(LOOK_EVERY_MS, (nowMs - lookedAtMs) * REST_PER_LOOK)
          await clock.sleep(Math.min(restMs, leftMs), signal)
        }
      }),
    ),
  )
}

function answer(cli: CommandLine, missing: readonly string[], json: true | undefined): ExitCode {
  const done = missing.length === 0
  cli.answer(json, { done, waitingFor: missing }, ({ waitingFor }) =>
    done
      ? 'All is replicated and verified\n'
      : `Not all is replicated and verified:\n${waitingFor.map((text) => `  ${text}\n`).join('')}`,
  )
  return done ? EXIT.ok : EXIT.no
}

async function missingNow(assembly: Assembly, { type, site: name }: WaitOptions): Promise<string[]> {
  const { sites } = assembly
  await sites.ensureFresh()
  const replicables = chosenTypes(assembly, type)
  if (!sites.requireMe().primary) {
    if (name !== undefined && sites.byName(name) !== sites.me) {
      throw new GeoError('NOT_PRIMARY', 'Only the primary knows how far other sites are')
    }
    return missingHere(assembly, replicables)
  }
  const secondaries = sites.all.filter((site) => !site.primary)
  const wanted =
    name === undefined
      ? secondaries.filter(({ enabled }) => enabled)
      : secondaries.filter((site) => site === sites.byName(name))
  if (wanted.length === 0) throw new GeoError('SITE_UNKNOWN', `There is no secondary ${name ?? 'that is enabled'}`)
  return missingElsewhere(assembly, wanted, replicables)
}
