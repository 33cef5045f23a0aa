import type { Command } from 'commander'
import type { CommandLine } from './command-line.ts'
import { collect, explained } from './explained.ts'
import { wholeNumber } from './numbers.ts'
import { sample } from './sample.ts'

interface VerifyOptions {
  sample: string
  type?: string[]
  seed?: number
  json?: true
}

export function verifyCommand(cli: CommandLine): Command {
  return explained({
    name: 'verify',
    description:
      'Hashes files drawn uniformly at random from the verified ones of this site, now, and says how many of all may be bad.',
    text: `On any site, beside its processes and under its verification capacity. Verdicts are recorded: what is found bad heals like
any failed verification. The bound is that of Clopper and Pearson: with none bad of 300, at most 1 % of all are bad.`,
    examples: ['verify --sample 1%', 'verify --sample 500 --type widget'],
    exits: { ok: 'none is bad', no: 'some are bad' },
  })
    .requiredOption(
      '--sample <size>',
      'of each type: a share of its verified files like 1% or 0.5%, or a number of them',
    )
    .option('--type <name>', 'only this type; may be given several times', collect)
    .option('--seed <number>', 'draws what an earlier run with this seed drew', wholeNumber)
    .option('--json', 'as one JSON array: type, seed, total, examined, bad, confidence, worstShare, badRecords')
    .action(
      cli.acting<VerifyOptions>(({ type, seed, json, ...options }) =>
        sample(cli, { ...options, types: type, seed, json: json ?? false }),
      ),
    )
}
