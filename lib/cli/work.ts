import type { Command } from 'commander'
import type { Assembly } from '../assembly.ts'
import type { CommandLine, GlobalOptions } from './command-line.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import { explained } from './explained.ts'
import { seconds } from './numbers.ts'

const DRAIN_SECONDS = 30
const LEFT_OPEN_MS = 1000
// A Ctrl-C under npx comes twice: from the terminal and from npx.
const SAME_SIGNAL_MS = 500

interface WorkOptions extends GlobalOptions {
  fullPriority: boolean
  drainSeconds: number
}

/** The background work of a site without its routes, for hosts whose web processes say `work: false`. */
export function workCommand(cli: CommandLine): Command {
  return explained({
    name: 'work',
    description:
      'Does the background work of this site until it is told to end, for hosts whose web processes say `work: false`.',
    text: `SIGTERM or SIGINT: takes no new work, waits for what runs, stops. A second one: stops at once; what was claimed is given back.
A database that is down is no reason to end: work begins when it is back.
Other processes of the machine go first (nice 10).`,
    examples: ['work', 'work --drain-seconds 120'],
    exits: {
      ok: 'ended on a signal, everything given back',
      notDone: 'could not start: wrong usage, wrong configuration, a table that is missing',
    },
  })
    .option('--full-priority', 'not to let the other processes of this machine go first', false)
    .option('--drain-seconds <seconds>', 'how long what runs may take to end', seconds, DRAIN_SECONDS)
    .action(cli.acting<WorkOptions>((options) => workUntilTold(cli, options)))
}

async function workUntilTold(
  cli: CommandLine,
  { drainSeconds, fullPriority, ...options }: WorkOptions,
): Promise<ExitCode> {
  // Before there are threads, which follow.
  if (!fullPriority) cli.surroundings.standBack()
  await cli.withSettings(options, async (settings) => {
    // The other commands do without all that this loads.
    const { assemble } = await import('../geo.ts')
    await work(cli, assemble({ ...settings, work: true }), drainSeconds * 1000)
  })
  // What the config opened beside its databases must not keep a worker that has ended.
  setTimeout(() => process.exit(), LEFT_OPEN_MS).unref()
  return EXIT.ok
}

async function work(cli: CommandLine, assembly: Assembly, drainMs: number): Promise<void> {
  // Heard from before the start on: a signal that comes during it must not end the process with leases held.
  const signals = listenForSignals()
  try {
    await assembly.start()
    cli.note(`works for ${assembly.settings.siteName}`)
    await signals.first
    cli.note('takes no new work and waits for what runs; once more stops at once')
    await Promise.race([assembly.drain({ timeoutMs: drainMs }), signals.second])
  } finally {
    await assembly.stop()
    signals.close()
  }
}

interface Signals {
  readonly first: Promise<void>
  readonly second: Promise<void>
  close(): void
}

function listenForSignals(): Signals {
  const first = Promise.withResolvers<void>()
  const second = Promise.withResolvers<void>()
  let firstAtMs = Number.POSITIVE_INFINITY
  const hear = () => {
    const nowMs = performance.now()
    if (nowMs - firstAtMs > SAME_SIGNAL_MS) second.resolve()
    else if (firstAtMs === Number.POSITIVE_INFINITY) firstAtMs = nowMs
    first.resolve()
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, hear)
  return {
    first: first.promise,
    second: second.promise,
    close() {
      for (const signal of ['SIGTERM', 'SIGINT'] as const) process.off(signal, hear)
    },
  }
}
