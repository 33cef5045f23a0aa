import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { GuideBlock } from './guide.ts'
import { Terminal } from './terminal.ts'

export interface GuideRunOptions {
  /** Where the reader is. */
  readonly folder: string
  /** What stands in the guide for what every reader has otherwise: addresses, ports. */
  readonly replaced: Readonly<Record<string, string>>
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** A reader who does what a guide says, word for word, and compares what is printed with what the guide shows. */
export class GuideRun {
  readonly #options: GuideRunOptions
  readonly #terminals = new Map<string, Terminal>()
  /** What the last lines that were typed have printed. */
  #printed = ''

  constructor(options: GuideRunOptions) {
    this.#options = options
  }

  /** @throws Error that names the line of the guide */
  async follow(block: GuideBlock): Promise<void> {
    try {
      await this.#follow(block)
    } catch (reason) {
      throw new Error(`Line ${block.line}: ${(reason as Error).message}\n${this.#printed}\n${await this.#logs()}`, {
        cause: reason,
      })
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#terminals.values()].map((terminal) => terminal.close()))
  }

  async #follow({ language, subject, text }: GuideBlock): Promise<void> {
    const { folder } = this.#options
    const said = this.#replace(text)
    if (language === 'sh') {
      this.#printed = ''
      this.#printed = await this.#terminal(subject ?? 'first').type(said)
    } else if (language === 'diff' && subject) {
      await this.#change(subject, said)
    } else if (language === 'text') {
      shows(this.#printed, said)
    } else if (subject) {
      const path = join(folder, subject)
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, said)
    } else {
      throw new Error(`There is nothing to do with this block of ${language}`)
    }
  }

  /** The guide shows the changed lines with some around them; where in the file that is, a reader sees. */
  async #change(file: string, lines: string): Promise<void> {
    const path = join(this.#options.folder, file)
    const [before, after] = ['-', '+'].map((sign) =>
      lines
        .split('\n')
        .filter((line) => line.startsWith(sign) || line.startsWith(' '))
        .map((line) => `${line.slice(1)}\n`)
        .join(''),
    ) as [string, string]
    const there = (await readFile(path, 'utf8')).split(before)
    if (there.length !== 2) throw new Error(`${file} has ${there.length - 1} places that look like this`)
    await writeFile(path, there.join(after))
  }

  /** What the servers that were started have said. */
  async #logs(): Promise<string> {
    const { folder } = this.#options
    const names = (await readdir(folder)).filter((name) => name.endsWith('.log'))
    return (
      await Promise.all(names.map(async (name) => `${name}:\n${await readFile(join(folder, name), 'utf8')}`))
    ).join('\n')
  }

  #replace(text: string): string {
    return Object.entries(this.#options.replaced).reduce((said, [from, to]) => said.replaceAll(from, to), text)
  }

  #terminal(name: string): Terminal {
    const known = this.#terminals.get(name)
    if (known) return known
    const { folder, environment } = this.#options
    // A second terminal knows what the reader was told to have there too.
    const terminal = new Terminal(folder, { ...environment, ...this.#terminals.get('first')?.exported })
    this.#terminals.set(name, terminal)
    return terminal
  }
}

/** Every line that the guide shows, in that order; … stands for any others. */
function shows(printed: string, shown: string): void {
  let rest = printed
  for (const line of shown.split('\n').filter((text) => text.trim() !== '' && text !== '…')) {
    const at = rest.indexOf(line)
    if (at < 0) throw new Error(`The guide shows ${JSON.stringify(line)}, which was not printed`)
    rest = rest.slice(at + line.length)
  }
}
