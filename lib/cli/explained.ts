import { Command } from 'commander'

/** What the help of a command says beside its options. */
export interface Explanation {
  readonly name: string
  readonly description: string
  /** Sentences below the options, lines of at most 120 characters. */
  readonly text?: string
  /** Without the leading `geo`. */
  readonly examples?: readonly string[]
  /** What 0, 1 and 2 mean here; those that are not given mean what they always do. */
  readonly exits?: { readonly ok?: string; readonly no?: string; readonly notDone?: string }
}

const NOT_DONE = 'it could not be done, or the usage is wrong'

/** A command whose help is complete: what it does, examples, exit codes. */
export function explained({ name, description, text, examples = [], exits = {} }: Explanation): Command {
  const codes = [
    `  0  ${exits.ok ?? 'done'}`,
    ...(exits.no ? [`  1  ${exits.no}`] : []),
    `  2  ${exits.notDone ?? NOT_DONE}`,
  ]
  const parts = [
    ...(text ? [text] : []),
    ...(examples.length > 0 ? [['Examples:', ...examples.map((example) => `  npx geo ${example}`)].join('\n')] : []),
    ['Exit codes:', ...codes].join('\n'),
  ]
  return new Command(name).description(description).addHelpText('after', `\n${parts.join('\n\n')}`)
}

/** For an option that may be given several times. */
export function collect(value: string, values: readonly string[] = []): string[] {
  return [...values, value]
}
