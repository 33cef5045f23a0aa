import { Command, InvalidArgumentError } from 'commander'
import type { Geo } from '../facade.ts'
import { loadConfig } from './config.ts'

const DRAIN_SECONDS = 30
const LEFT_OPEN_MS = 1000
// A Ctrl-C under npx comes twice: from the terminal and from npx.
const SAME_SIGNAL_MS = 500

interface WorkOptions {
  config?: string
  drainSeconds: number
}

function seconds(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || value < 0) throw new InvalidArgumentError('must be 0 or more')
  return value
}

/** The background work of a site without its routes, for hosts whose web processes say `work: false`. */
export function workCommand(): Command {
  return new Command('work')
    .description(
      'Does the background work of this site until it is told to end, for hosts whose web processes say `work: false`.',
    )
    .option('--drain-seconds <seconds>', 'how long what runs may take to end', seconds, DRAIN_SECONDS)
    .option('--config <file>', 'the file that exports the options of createGeo (default: geo.config.*)')
    .addHelpText(
      'after',
      `
SIGTERM or SIGINT: takes no new work, waits for what runs, stops. A second one: stops at once; what was claimed is given back.

Exit codes:
  0  ended on a signal, everything given back
  1  could not start: wrong usage, wrong configuration, a table that is missing
A database that is down is no reason to end: work begins when it is back.`,
    )
    .action(async ({ config, drainSeconds }: WorkOptions) => {
      const options = await loadConfig(config)
      // The other commands do without all that this loads.
      const { createGeo } = await import('../geo.ts')
      const geo = createGeo({ ...options, work: true })
      try {
        await work(geo, options.siteName, drainSeconds * 1000)
      } finally {
        await Promise.all([options.mainDb.destroy(), options.trackingDb?.destroy()])
      }
      // What the config opened beside its databases must not keep a worker that has ended.
      setTimeout(() => process.exit(), LEFT_OPEN_MS).unref()
    })
}

async function work(geo: Geo, siteName: string, drainMs: number): Promise<void> {
  // Heard from before the start on: a signal that comes during it must not end the process with leases held.
  const signals = listenForSignals()
  try {
    await geo.start()
    process.stderr.write(`geo: works for ${siteName}\n`)
    await signals.first
    process.stderr.write('geo: takes no new work and waits for what runs; once more stops at once\n')
    await Promise.race([geo.drain({ timeoutMs: drainMs }), signals.second])
  } finally {
    await geo.stop()
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
  // What waits has no timer that keeps the process running.
  const alive = setInterval(() => undefined, 60_000)
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, hear)
  return {
    first: first.promise,
    second: second.promise,
    close() {
      clearInterval(alive)
      for (const signal of ['SIGTERM', 'SIGINT'] as const) process.off(signal, hear)
    },
  }
}
