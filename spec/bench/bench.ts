import { Command, InvalidArgumentError } from 'commander'
import { MEASUREMENTS } from './catalogue.ts'
import { Folders } from './folders.ts'
import { machine } from './machine.ts'
import type { Outcome } from './measurement.ts'
import { findPeers } from './peers.ts'

interface Options {
  json: boolean
  rounds: number
  scale: number
}

const positive = (text: string): number => {
  const value = Number(text)
  if (!(value > 0)) throw new InvalidArgumentError('must be above 0')
  return value
}

const command = new Command('npm run bench --')
  .description('Measures this SDK against what would be used instead, as ratios in one run')
  .argument('[name...]', `which of ${Object.keys(MEASUREMENTS).join(', ')}; all of them where none is named`)
  .option('--json', 'one line of JSON for each name on standard output, nothing else', false)
  .option('--rounds <count>', 'how often each side does its work, besides one round that warms up', positive, 5)
  .option('--scale <factor>', 'less than 1 makes the work smaller, for trying', positive, 1)
  .parse()
const options = command.opts<Options>()
const names = command.args.length > 0 ? command.args : Object.keys(MEASUREMENTS)
for (const name of names) if (!MEASUREMENTS[name]) command.error(`There is no measurement "${name}"`)

const say = (text: string): void => void process.stderr.write(`${text}\n`)

function tell(name: string, title: string, { ratio, reach, measured, reached, figures }: Outcome): void {
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ name, title, ratio, reach, measured, reached, ...figures })}\n`)
    return
  }
  process.stdout.write(`${name}: ${measured}; asked for ${reach}: ${reached ? 'reached' : 'NOT REACHED'}\n`)
  process.stdout.write(`  ${JSON.stringify(figures)}\n`)
}

async function main(): Promise<void> {
  const peers = await findPeers(['xxhsum', 'rclone', 'curl', 'psql'])
  const about = { ...machine(), ...peers, rounds: options.rounds, scale: options.scale }
  if (options.json) process.stdout.write(`${JSON.stringify({ name: 'machine', ...about })}\n`)
  else say(JSON.stringify(about))
  // Removed when all is measured: see Folders.
  const opened: Folders[] = []
  try {
    for (const name of names) {
      const measurement = MEASUREMENTS[name]
      if (!measurement) continue
      say(`== ${name}: ${measurement.title}`)
      const folders = await Folders.open()
      opened.push(folders)
      tell(
        name,
        measurement.title,
        await measurement.measure({ rounds: options.rounds, scale: options.scale, folders, say }),
      )
    }
  } finally {
    for (const folders of opened) await folders.close()
  }
}

await main()
