import type { Command } from 'commander'
import { type Explanation, explain } from '../view/explain.ts'
import { bytesOf, durationOf } from '../view/quantities.ts'
import type { CommandLine, GlobalOptions } from './command-line.ts'
import { EXIT } from './exit-code.ts'
import { explained } from './explained.ts'
import type { Paint } from './paint.ts'

interface ExplainOptions extends GlobalOptions {
  readonly json?: true
}

export function explainCommand(cli: CommandLine): Command {
  return explained({
    name: 'explain',
    description:
      "Says everything that this site knows of one blob: the host's row, both checksums, attempts, file, events.",
    text: `What is said of the primary is, on a secondary, what the replica has. Events are all that the log still holds of it.`,
    examples: ['explain widget 42', 'explain widget 42 --json'],
    exits: { ok: 'said, whatever it is', no: 'neither the host nor this site knows such a record' },
  })
    .argument('<type>', 'the name of the type')
    .argument('<id>', "the key of the host's row")
    .option('--json', 'as one JSON object')
    .action(
      cli.acting<ExplainOptions, [string, string]>(({ json, ...options }, type, id) =>
        cli.withSite(options, async ({ assembly }) => {
          const known = await explain(assembly, type, id)
          cli.answer(json, known, (shown) => textOf(shown, cli.paint))
          return known.row.isThere || known.copy ? EXIT.ok : EXIT.no
        }),
      ),
    )
}

const COLUMNS = 28

type Line = readonly [label: string, text: string | null]

function textOf(known: Explanation, paint: Paint): string {
  const { type, id, site, summary } = known
  const sections: [heading: string, lines: readonly Line[]][] = [
    ["The host's row", rowLines(known)],
    ['On the primary', primaryLines(known)],
    ['The copy on this site', copyLines(known)],
    ['The file on this site', fileLines(known)],
    ['Last failure', failureLines(known)],
    ['Events', known.events.map(({ id: event, event: name, at }) => [`#${event}`, `${name} at ${at}`])],
  ]
  const texts = sections.map(([heading, lines]) => {
    const body = lines.flatMap(([label, text]) => (text === null ? [] : [`${label.padStart(COLUMNS)}: ${text}\n`]))
    return body.length === 0 ? '' : `\n${paint.heading(heading)}\n${body.join('')}`
  })
  return `${type} #${id} on ${site.name} (${site.role})\n${summary.map((text) => `${text}\n`).join('')}${texts.join('')}`
}

const yesNo = (value: boolean) => (value ? 'yes' : 'no')

function rowLines({ row, flagIsOn }: Explanation): Line[] {
  return [
    ['There', yesNo(row.isThere)],
    ['Has a file', row.isThere ? yesNo(row.isAvailable) : null],
    ['Belongs on this site', row.isThere ? yesNo(row.isInScope) : null],
    ['Key of its file', row.key],
    ['Failure of `blob`', row.failure],
    ['Flag of the type is on', yesNo(flagIsOn)],
  ]
}

function primaryLines({ primary }: Explanation): Line[] {
  if (!primary) return [['Verification', 'nothing is kept of it yet']]
  const { verificationState, checksum, algorithm, verifiedAt, attempts, retryAt, failure } = primary
  return [
    ['Verification', `${verificationState}${primary.isCorrupt ? ', corrupt' : ''}`],
    ['Checksum', checksum && `${checksum} (${algorithm})`],
    ['Hashed at', verifiedAt],
    ['Failed attempts', attempts > 0 ? String(attempts) : null],
    ['Next attempt at', verificationState === 'failed' ? retryAt : null],
    ['Failure', failure],
  ]
}

function copyLines({ site, copy, primary, lease }: Explanation): Line[] {
  if (site.role === 'primary') return []
  if (!copy) return [['Registry row', 'none']]
  const compared =
    copy.checksum && primary?.checksum ? (copy.checksum === primary.checksum ? ', the same' : ', another') : ''
  return [
    ['Registry row', `#${copy.registryId}, since ${copy.createdAt}`],
    [
      'Sync',
      `${copy.state}${copy.isLeaving ? ', to be removed' : ''}${copy.isBackfill && copy.state === 'pending' ? ', backfill' : ''}`,
    ],
    ['Fetched at', copy.lastSyncedAt],
    ['Failed attempts', copy.attempts > 0 ? String(copy.attempts) : null],
    ['Next attempt at', copy.state === 'failed' ? (copy.retryAt ?? 'now') : null],
    ['Processes lost in a row', copy.workerLosses > 0 ? String(copy.workerLosses) : null],
    ['Verification', copy.verificationState],
    ['Checksum', copy.checksum && `${copy.checksum}${compared}`],
    ['Checksum where it differed', copy.mismatchedChecksum],
    ['Verified at', copy.verifiedAt],
    ['Failed verifications', copy.verificationAttempts > 0 ? String(copy.verificationAttempts) : null],
    ['Next verification at', copy.verificationState === 'failed' ? (copy.verificationRetryAt ?? 'now') : null],
    ['Worked by', workedBy(copy.leaseId, lease)],
  ]
}

function workedBy(leaseId: string | null, lease: Explanation['lease']): string | null {
  if (leaseId === null) return null
  if (!lease) return `lease ${leaseId}, which has ended`
  const { kind, holder, heldSeconds, secondsLeft } = lease
  const left = secondsLeft > 0 ? `for ${durationOf(heldSeconds)}` : 'but it has ended: another takes over'
  return `process ${holder} under lease ${leaseId} (${kind}), ${left}`
}

function fileLines({ file, copy }: Explanation): Line[] {
  if (!file) return []
  return [
    ['Path', file.path],
    ['On disk now', file.problem ?? (file.bytes === null ? 'no' : `yes, ${bytesOf(file.bytes)}`)],
    ['Size by the registry', copy?.bytes == null ? null : bytesOf(copy.bytes)],
  ]
}

function failureLines({ failure }: Explanation): Line[] {
  if (!failure) return []
  return [
    ['Code', failure.code],
    ['Message', failure.message],
    ['What to do', failure.advice],
  ]
}
