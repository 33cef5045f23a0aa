import { Command, InvalidArgumentError } from 'commander'
import { GeoError } from '../errors.ts'
import type { SampleRequest } from '../sampling.ts'
import type { SampleProgress, SampleResult } from '../verification/sample.ts'
import { withGeo } from './config.ts'
import { progressLine } from './progress-line.ts'

interface VerifyOptions {
  config?: string
  sample: string
  type?: string[]
  seed?: number
  json?: true
}

/** Exit codes: commander's own errors are 1. */
const SOME_BAD = 1
const NOT_DONE = 2
const MOST_NAMED = 20

function seed(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('must be a whole number, 0 or more')
  return value
}

export function verifyCommand(): Command {
  return new Command('verify')
    .description(
      'Hashes files drawn uniformly at random from the verified ones of this site, now, and says how many of all may be bad.',
    )
    .requiredOption(
      '--sample <size>',
      'of each type: a share of its verified files like 1% or 0.5%, or a number of them',
    )
    .option('--type <name>', 'only this type; may be given several times', (name, names: string[] = []) => [
      ...names,
      name,
    ])
    .option('--seed <number>', 'draws what an earlier run with this seed drew', seed)
    .option('--json', 'as one JSON array: type, seed, total, examined, bad, confidence, worstShare, badRecords')
    .option('--config <file>', 'the file that exports the options of createGeo (default: geo.config.*)')
    .addHelpText(
      'after',
      `
On any site, beside its processes and under its verification capacity. Verdicts are recorded: what is found bad heals like
any failed verification. The bound is that of Clopper and Pearson: with none bad of 300, at most 1 % of all are bad.

Exit codes: 0 none is bad, 1 some are bad, 2 it could not be done (1 for wrong usage).`,
    )
    .action(verify)
}

async function verify({ config, sample, type, seed, json }: VerifyOptions): Promise<void> {
  process.exitCode = NOT_DONE
  const interrupted = new AbortController()
  const onInterrupt = () => interrupted.abort(new GeoError('STOPPED', 'Interrupted'))
  process.once('SIGINT', onInterrupt)
  const progress = progressLine()
  const request: SampleRequest = {
    sample,
    types: type,
    seed,
    signal: interrupted.signal,
    onProgress: ({ type, seen, examined, bad }: SampleProgress) =>
      progress.show(`${type}: ${examined} hashed of ${seen} seen, ${bad} bad`),
  }
  try {
    await withGeo(config, async (geo) => {
      const results = await geo.verifySample(request)
      progress.clear()
      process.stdout.write(json ? `${JSON.stringify(results)}\n` : results.map(describe).join(''))
      process.exitCode = results.some(({ bad }) => bad > 0) ? SOME_BAD : 0
    })
  } finally {
    progress.clear()
    process.off('SIGINT', onInterrupt)
  }
}

function describe({ type, seed, total, examined, bad, worstShare, badRecords }: SampleResult): string {
  if (total === 0) return `${type}: no verified files\n`
  const confidence = `with 95 % confidence at most ${percent(worstShare)} of all are bad`
  const named = badRecords.slice(0, MOST_NAMED).map(({ id, code, message }) => `  #${id} ${code}: ${message}\n`)
  const more = bad > named.length ? `  and ${bad - named.length} more; --json names up to 1000\n` : ''
  return `${type}: ${examined} of ${total} verified files hashed, ${bad} bad; ${confidence} (seed ${seed})\n${named.join('')}${more}`
}

/** Rounded up: the bound must hold as it is printed. */
function percent(share: number): string {
  return `${Math.ceil(share * 10_000) / 100} %`
}
