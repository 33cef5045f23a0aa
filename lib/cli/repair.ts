import { Command } from 'commander'
import type { RepairedRecord } from '../failover/repair.ts'
import type { RepairResult } from '../repairing.ts'
import { withGeo } from './config.ts'
import { progressLine } from './progress-line.ts'

interface RepairOptions {
  config?: string
  type?: string[]
  id?: string[]
  dryRun?: true
  json?: true
}

const SOME_LEFT = 1
const NOT_DONE = 2

const collect = (value: string, values: string[] = []) => [...values, value]

export function repairCommand(): Command {
  return new Command('repair')
    .description(
      'On the primary: brings back files that are missing or corrupt from secondaries that still have good copies.',
    )
    .option('--type <name>', 'only this type; may be given several times (default: all immutable ones)', collect)
    .option(
      '--id <key>',
      'only this record of the one type; may be given several times (default: all damaged ones)',
      collect,
    )
    .option('--dry-run', 'only looks what is damaged; no site is asked, nothing is changed')
    .option('--json', 'as one JSON array: type, counts, records')
    .option('--config <file>', 'the file that exports the options of createGeo (default: geo.config.*)')
    .addHelpText(
      'after',
      `
Looks at records whose verification failed and whose checksum is recorded. What lies at the key is hashed first: a good file
is never replaced. A copy must be verified on its site, hash to the recorded checksum there and again when it has arrived.
Repaired files are then hashed by the processes of this site, like any other.

Exit codes: 0 nothing is damaged any more, 1 something is, 2 it could not be done (1 for wrong usage).`,
    )
    .action(repair)
}

async function repair({ config, type, id, dryRun, json }: RepairOptions): Promise<void> {
  process.exitCode = NOT_DONE
  const progress = progressLine()
  let looked = 0
  try {
    await withGeo(config, async (geo) => {
      const onRecord = (name: string, record: RepairedRecord) => {
        looked += 1
        if (json) progress.show(`${looked} records looked at`)
        else process.stdout.write(line(name, record))
      }
      const results = await geo.repair({ types: type, ids: id, dryRun, onRecord })
      progress.clear()
      process.stdout.write(json ? `${JSON.stringify(results)}\n` : results.map(summary).join(''))
      process.exitCode = results.some(({ counts }) => counts.failed + counts.damaged > 0) ? SOME_LEFT : 0
    })
  } finally {
    progress.clear()
  }
}

const SAID: Readonly<Record<RepairedRecord['outcome'], string>> = {
  repaired: 'repaired from',
  good: 'is good as it is',
  damaged: 'is damaged',
  gone: 'has no such file any more',
  failed: 'not repaired',
}

function line(type: string, { id, key, outcome, from, reasons }: RepairedRecord): string {
  const why = reasons.map(({ site, code, message }) => `\n  ${site}: ${code}: ${message}`).join('')
  return `${type} #${id}${key === null ? '' : ` ${JSON.stringify(key)}`}: ${SAID[outcome]}${from === null ? '' : ` ${from}`}${why}\n`
}

function summary({ type, counts }: RepairResult): string {
  const { repaired, good, damaged, gone, failed } = counts
  const looked = repaired + good + damaged + gone + failed
  if (looked === 0) return `${type}: nothing is known to be damaged\n`
  return `${type}: ${looked} looked at, ${repaired} repaired, ${good} good, ${failed + damaged} damaged\n`
}
