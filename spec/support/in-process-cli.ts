import { runGeo } from '../../lib/cli/program.ts'
import type { Screen, Surroundings } from '../../lib/cli/surroundings.ts'
import type { GeoSettings } from '../../lib/options.ts'
import type { Ended } from './cli.ts'

export interface RunningCommand extends Promise<Ended> {
  /** What it has written to standard output so far. */
  readonly written: string
  /** What it has written to standard error so far. */
  readonly said: string
  /** As a Ctrl-C. */
  interrupt(): void
}

export interface CommandScreen {
  /** Whether a person looks at both outputs. Default false. */
  readonly isTTY?: boolean
  readonly environment?: Readonly<Record<string, string>>
  /** Where the command is run. Default: where this process is. */
  readonly folder?: string
  /** What a person answers to one question after the other. Default: nobody sits there. */
  readonly answers?: (question: string) => string
}

/** The command `geo` in this process, on the options of a site, whose databases stay open. */
export function commandOf(settings: GeoSettings, screen: CommandScreen = {}) {
  return commandWith(async () => ({ settings, close: async () => undefined }), screen)
}

/** The command `geo` in this process, which gets its options from `load`. */
export function commandWith(
  load: Surroundings['load'],
  { isTTY = false, environment = {}, folder = process.cwd(), answers }: CommandScreen = {},
) {
  return (...args: string[]): RunningCommand => {
    const texts = { stdout: '', stderr: '' }
    const screen = (name: keyof typeof texts): Screen => ({
      isTTY,
      columns: 120,
      write(text) {
        texts[name] += text
      },
    })
    const listeners = new Set<() => void>()
    const ended = runGeo(args, {
      stdout: screen('stdout'),
      stderr: screen('stderr'),
      environment,
      folder,
      ask: answers ? async (question) => answers(question) : null,
      load,
      // The process is that of the specs.
      standBack: () => undefined,
      onInterrupt(listener) {
        listeners.add(listener)
        return () => void listeners.delete(listener)
      },
    }).then((status) => ({ status, ...texts }))
    return Object.defineProperties(ended, {
      written: { get: () => texts.stdout },
      said: { get: () => texts.stderr },
      interrupt: {
        value: () => {
          for (const listener of listeners) listener()
        },
      },
    }) as RunningCommand
  }
}
