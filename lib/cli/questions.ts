import { GeoError } from '../errors.ts'
import type { CommandLine } from './command-line.ts'

export interface Question<Value extends string> {
  /** The option that answers it: `--blob-column`. */
  readonly option: string
  readonly text: string
  /** What the option said. */
  readonly given: string | undefined
  /** What is known without asking. */
  readonly known?: string | undefined
  /** What is taken where a person just says yes. */
  readonly suggestion?: Value | undefined
  readonly choices?: readonly Value[]
}

/**
 * What a generator has to know: from its options, from what it found out, else from a person at a terminal. Without one the
 * options that are missing are collected, to be named all at once.
 */
export class Questions {
  readonly #cli: CommandLine
  readonly #takesSuggestions: boolean
  readonly #missing: string[] = []

  constructor(cli: CommandLine, { yes }: { readonly yes?: true }) {
    this.#cli = cli
    this.#takesSuggestions = yes === true
  }

  /** An empty text where nobody could be asked: `done` tells of it. */
  async ask<Value extends string>(question: Question<Value>): Promise<Value> {
    const { option, given, known, suggestion } = question
    const settled = given ?? known ?? (this.#takesSuggestions ? suggestion : undefined)
    if (settled !== undefined) return this.#checked(question, settled)
    const { ask } = this.#cli.surroundings
    if (ask && !this.#takesSuggestions) {
      for (;;) {
        const answer = (await ask(sentenceOf(question))).trim() || (suggestion ?? '')
        if (answer !== '' && isAllowed(question, answer)) return answer as Value
      }
    }
    this.#missing.push(suggestion === undefined ? option : `${option} (--yes takes ${suggestion})`)
    return '' as Value
  }

  /** @throws GeoError `OPTIONS_MISSING` */
  done(): void {
    if (this.#missing.length > 0) throw new GeoError('OPTIONS_MISSING', `Missing: ${this.#missing.join(', ')}`)
  }

  #checked<Value extends string>(question: Question<Value>, value: string): Value {
    if (isAllowed(question, value)) return value as Value
    const { option, choices = [] } = question
    throw new GeoError('INVALID_REQUEST', `${option} is ${JSON.stringify(value)}; it can be ${choices.join(', ')}`)
  }
}

function isAllowed({ choices }: Question<string>, answer: string): boolean {
  return !choices || choices.includes(answer)
}

function sentenceOf({ text, choices, suggestion }: Question<string>): string {
  const among = choices ? ` (${choices.join(', ')})` : ''
  return `${text}${among}${suggestion === undefined ? '' : ` [${suggestion}]`}: `
}
