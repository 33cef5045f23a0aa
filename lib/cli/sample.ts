import type { SampleResult } from '../verification/sample.ts'
import type { CommandLine, GlobalOptions } from './command-line.ts'
import { EXIT, type ExitCode } from './exit-code.ts'

export interface SampleOptions extends GlobalOptions {
  readonly types: readonly string[] | undefined
  readonly sample: string
  readonly seed: number | undefined
  readonly json: boolean
}

const MOST_NAMED = 20

/** Hashes files that are drawn by chance, and says how many of all may be bad. */
export function sample(cli: CommandLine, { types, sample, seed, json, ...options }: SampleOptions): Promise<ExitCode> {
  return cli.withSite(options, ({ geo }) =>
    cli.untilInterrupted((signal) =>
      cli.withProgress(async (progress) => {
        const results = await geo.verifySample({
          sample,
          types,
          seed,
          signal,
          onProgress: ({ type, seen, examined, bad }) =>
            progress.show(`${type}: ${examined} hashed of ${seen} seen, ${bad} bad`),
        })
        progress.clear()
        cli.answer(json, results, (each) => each.map(describe).join(''))
        return results.some(({ bad }) => bad > 0) ? EXIT.no : EXIT.ok
      }),
    ),
  )
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
