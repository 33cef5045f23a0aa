import { type Command, Option } from 'commander'
import { IDENTIFIER } from '../blob/names.ts'
import { GeoError } from '../errors.ts'
import { MODULE_KINDS, type ModuleKind } from '../generate/module-style.ts'
import type { GlobalOptions } from './command-line.ts'

/** What all generators take. */
export interface GenerateOptions extends GlobalOptions {
  readonly module?: ModuleKind
  readonly dryRun?: true
  readonly yes?: true
  readonly json?: true
}

export function withGenerateOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--module <style>',
        'how modules are written (default: as package.json and tsconfig.json say)',
      ).choices([...MODULE_KINDS]),
    )
    .option('--dry-run', 'shows the diff and writes nothing')
    .option('--yes', 'asks nothing: takes what would be suggested, and writes')
    .option('--json', 'as one JSON value: written, same, differing, byHand')
}

/** Of tables and columns, as an option gives them. @throws GeoError `INVALID_REQUEST` */
export function requireNames(option: string, names: readonly string[]): void {
  const wrong = names.find((name) => !IDENTIFIER.test(name))
  if (wrong !== undefined) throw new GeoError('INVALID_REQUEST', `${option}: ${JSON.stringify(wrong)} is no name`)
}
