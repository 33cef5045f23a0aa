import { randomInt } from 'node:crypto'
import { Command, InvalidArgumentError } from 'commander'
import { FAULTS } from './faults/index.ts'
import { resultOf, tableOf } from './result.ts'
import { type Phase, runFaults } from './run.ts'
import { Seeded } from './seeded.ts'
import { openWorld } from './world.ts'

interface Options {
  minutes: number
  seed: number
  fault: string[]
  size: Record<string, number>
  proxies: boolean
  allowSkipped: boolean
  json: boolean
}

const INTERRUPTED = 130

const positive = (text: string): number => {
  const value = Number(text)
  if (!(value > 0)) throw new InvalidArgumentError('must be above 0')
  return value
}
const whole = (text: string): number => {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError('must be a whole number')
  return value
}

const sizes = (text: string, before: Record<string, number>): Record<string, number> => {
  const [, name = '', count] = /^(\w+)=(\d+)$/.exec(text) ?? []
  if (count === undefined) throw new InvalidArgumentError('must be such as kills=20')
  return { ...before, [name]: Number(count) }
}

const command = new Command('npm run chaos --')
  .description(
    'Breaks real processes, networks, disks and databases while work goes on, then checks the promises from outside',
  )
  .option(
    '--minutes <count>',
    'how long; each fault runs once in any case, from 60 minutes on at its full size',
    positive,
    5,
  )
  .option('--seed <number>', 'which run; printed at the end', whole, randomInt(2 ** 31))
  .option('--fault <name...>', `which of ${Object.keys(FAULTS).join(', ')}; all of them where none is named`, [])
  .option('--size <name=count...>', 'a size of a fault, instead of the one for these minutes', sizes, {})
  .option('--proxies', 'one network for all, also where namespaces can be had', false)
  .option(
    '--allow-skipped',
    'no violation where this machine does not allow a fault or a part of one; it is told all the same',
    false,
  )
  .option('--json', 'one line of JSON on standard output, nothing else', false)
  .parse()
const options = command.opts<Options>()
const faults = (options.fault.length > 0 ? options.fault : Object.keys(FAULTS)).map((name) => {
  const fault = FAULTS[name]
  if (!fault) return command.error(`There is no fault "${name}"`)
  return fault
})

const say = (text: string): void => void process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`)

async function main(): Promise<number> {
  const interrupted = new AbortController()
  const broken = new Promise<never>((_, reject) => {
    interrupted.signal.addEventListener('abort', () => reject(new Error('Interrupted')))
  })
  // Whoever does not wait for it now waits for the run.
  broken.catch(() => undefined)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupted.abort())
  // What a fault was doing fails while the world around it is taken down, and nobody waits for it any more.
  interrupted.signal.addEventListener('abort', () => process.on('unhandledRejection', () => undefined))

  const { seed, minutes, json, allowSkipped } = options
  say(`seed ${seed}, ${minutes} minutes`)
  const world = await openWorld(say, options.proxies ? 'proxies' : 'namespaces')
  let keep = true
  const phases: Phase[] = []
  try {
    say(
      `network: ${world.network.how}; ${world.sites.map(({ name, members }) => `${name} with ${members.length} processes`).join(', ')}`,
    )
    const plan = { faults, minutes, sizes: options.size, chance: new Seeded(seed), allowSkipped }
    await Promise.race([runFaults(world, plan, interrupted.signal, phases), broken])
    const result = resultOf({ seed, minutes }, world, phases)
    keep = result.violations > 0
    if (json) process.stdout.write(`${JSON.stringify(result)}\n`)
    else process.stdout.write(tableOf(phases))
    say(`${world.ledger.count} blobs, ${Math.round(world.host.bytesWritten / 2 ** 20)} MiB were written; seed ${seed}`)
    return result.violations > 0 ? 1 : 0
  } catch (reason) {
    if (!interrupted.signal.aborted) throw reason
    keep = phases.some(({ violations }) => violations.length > 0)
    return INTERRUPTED
  } finally {
    await world.close(keep)
    if (keep) say(`History, output and files are in ${world.folder}`)
  }
}

// Whatever an interrupted fault still waits for is of no interest.
process.exit(await main())
