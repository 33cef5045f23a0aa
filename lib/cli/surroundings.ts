import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'
import { standBackAltogether } from '../background-priority.ts'
import { GeoError } from '../errors.ts'
import type { GeoSettings } from '../options.ts'
import { loadSettings } from './config.ts'

/** Where a command writes. */
export interface Screen {
  write(text: string): unknown
  /** Whether a person looks at it. */
  readonly isTTY?: boolean
  readonly columns?: number
}

/** What a command runs in: the process, or what a spec puts in its place. */
export interface Surroundings {
  readonly stdout: Screen
  readonly stderr: Screen
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Where the command is run: the folder of the host. */
  readonly folder: string
  /** Asks whoever sits at the terminal. Null where nobody does. */
  readonly ask: ((question: string) => Promise<string>) | null
  /** The options of the site. Whoever asks calls `close` afterwards. */
  load(config: string | undefined): Promise<LoadedSettings>
  /** From now on this process lets the others of the machine go first. */
  standBack(): void
  /** Calls back on Ctrl-C. Returns what ends the listening. */
  onInterrupt(listener: () => void): () => void
}

export interface LoadedSettings {
  readonly settings: GeoSettings
  /** Closes the host's own connections. */
  close(): Promise<void>
}

export function processSurroundings(): Surroundings {
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    environment: process.env,
    folder: process.cwd(),
    ask: process.stdin.isTTY && process.stdout.isTTY ? askOnTerminal : null,
    async load(config) {
      const settings = await loadSettings(config)
      const { mainDb, trackingDb } = settings
      return { settings, close: () => Promise.all([mainDb.destroy(), trackingDb?.destroy()]).then(() => undefined) }
    },
    standBack: standBackAltogether,
    onInterrupt(listener) {
      process.on('SIGINT', listener)
      return () => void process.off('SIGINT', listener)
    },
  }
}

async function askOnTerminal(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  // Ctrl-D and Ctrl-C end it without an answer.
  const closed = once(terminal, 'close').then(() => {
    throw new GeoError('STOPPED', 'Nothing was answered')
  })
  try {
    return await Promise.race([terminal.question(question), closed])
  } finally {
    terminal.close()
  }
}
