import type { Command } from 'commander'
import type { RepairedRecord } from '../failover/repair.ts'
import { printable } from '../printable.ts'
import type { RepairResult } from '../repairing.ts'
import type { CommandLine } from './command-line.ts'
import { EXIT } from './exit-code.ts'
import { collect, explained } from './explained.ts'

interface RepairOptions {
  type?: string[]
  id?: string[]
  dryRun?: true
  json?: true
}

export function repairCommand(cli: CommandLine): Command {
  return explained({
    name: 'repair',
    description:
      'On the primary: brings back files that are missing or corrupt from secondaries that still have good copies.',
    text: `Looks at records whose verification failed and whose checksum is recorded. What lies at the key is hashed first: a good file
is never replaced. A copy must hash to the recorded checksum on its site now, and again when it has arrived. Records that failed without a
recorded checksum are only counted: no copy can be told to be right.
Repaired files are then hashed by the processes of this site, like any other.`,
    examples: ['repair --dry-run', 'repair --type widget --id 42'],
    exits: { ok: 'nothing is damaged any more', no: 'something is, or has failed with no checksum recorded' },
  })
    .option('--type <name>', 'only this type; may be given several times (default: all immutable ones)', collect)
    .option(
      '--id <key>',
      'only this record of the one type; may be given several times (default: all damaged ones)',
      collect,
    )
    .option('--dry-run', 'only looks what is damaged; no site is asked, nothing is changed')
    .option('--json', 'as one JSON array: type, counts, records, unrecorded')
    .action(cli.acting<RepairOptions>((options) => repair(cli, options)))
}

function repair(cli: CommandLine, { type, id, dryRun, json, ...options }: RepairOptions) {
  return cli.withSite(options, ({ geo }) =>
    cli.withProgress(async (progress) => {
      let looked = 0
      const onRecord = (name: string, record: RepairedRecord) => {
        looked += 1
        if (json) progress.show(`${looked} records looked at`)
        else cli.print(line(name, printable(record)))
      }
      const results = await geo.repair({ types: type, ids: id, dryRun, onRecord })
      progress.clear()
      cli.answer(json, results, (each) => each.map(summary).join(''))
      const isWell = ({ counts, unrecorded }: RepairResult) => counts.failed + counts.damaged + unrecorded === 0
      return results.every(isWell) ? EXIT.ok : EXIT.no
    }),
  )
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
  return `${type} #${id}${key === null ? '' : ` "${key}"`}: ${SAID[outcome]}${from === null ? '' : ` ${from}`}${why}\n`
}

function summary({ type, counts, unrecorded }: RepairResult): string {
  const { repaired, good, damaged, gone, failed } = counts
  const looked = repaired + good + damaged + gone + failed
  const more =
    unrecorded > 0 ? `${type}: ${unrecorded} failed, with no checksum recorded to tell a right copy by\n` : ''
  if (looked === 0) return more || `${type}: nothing is known to be damaged\n`
  return `${type}: ${looked} looked at, ${repaired} repaired, ${good} good, ${failed + damaged} damaged\n${more}`
}
