import type { Command } from 'commander'
import { GeoError } from '../errors.ts'
import type { CommandLine } from './command-line.ts'
import { type DueOptions, workNow } from './due.ts'
import { collect, explained } from './explained.ts'
import { wholeNumber } from './numbers.ts'
import { sample } from './sample.ts'

interface VerifyOptions extends DueOptions {
  readonly sample?: string
  readonly type?: string[]
  readonly seed?: number
}

export function verifyCommand(cli: CommandLine): Command {
  return explained({
    name: 'verify',
    description: 'Hashes what is due, now and in this process, until nothing is left; or a sample of what is verified.',
    text: `On any site, beside its processes and under its verification capacity; verdicts are recorded, and what is found bad heals like
any failed verification. What is due: files without a verdict, and failed ones whose next attempt has come. --failed and --id
do not wait for that attempt. \`geo reverify\` has verified files hashed again.

--sample draws files uniformly at random from the verified ones of each type and says how many of all may be bad. The bound is
that of Clopper and Pearson: with none bad of 300, at most 1 % of all are bad.`,
    examples: ['verify --all', 'verify widget --failed', 'verify --sample 1%', 'verify --sample 500 --type widget'],
    exits: { ok: 'nothing is due any more; with --sample, none is bad', no: 'some are bad, or it was interrupted' },
  })
    .argument('[types...]', 'names of types')
    .option('--all', 'all types whose flag is on')
    .option('--id <key>', 'this record of the one type, if it failed, at once; may be given several times', collect)
    .option('--failed', 'all failed ones at once')
    .option('--sample <size>', 'of each type a share of its verified files like 1% or 0.5%, or a number of them')
    .option('--type <name>', 'with --sample: only this type; may be given several times', collect)
    .option('--seed <number>', 'with --sample: draws what an earlier run with this seed drew', wholeNumber)
    .option(
      '--json',
      'as one JSON object: verified, failed, failures by code; with --sample an array: type, seed, total, examined, bad, confidence, worstShare, badRecords',
    )
    .action(cli.acting<VerifyOptions, [string[]]>((options, types) => verify(cli, options, types)))
}

function verify(cli: CommandLine, { sample: size, type, seed, ...options }: VerifyOptions, names: readonly string[]) {
  if (size === undefined) {
    if (type || seed !== undefined) throw new GeoError('INVALID_REQUEST', '--type and --seed need --sample')
    return workNow(cli, 'verify', names, options)
  }
  if (options.id || options.failed)
    throw new GeoError('INVALID_REQUEST', '--sample draws by chance: no --id, no --failed')
  const types = [...names, ...(type ?? [])]
  return sample(cli, {
    ...(options.config && { config: options.config }),
    types: types.length > 0 ? types : undefined,
    sample: size,
    seed,
    json: options.json ?? false,
  })
}
