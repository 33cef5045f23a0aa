import type { Command } from 'commander'
import type { Assembly } from '../assembly.ts'
import { GeoError, messageOf } from '../errors.ts'
import type { Geo } from '../facade.ts'
import type { GeoSettings } from '../options.ts'
import { printable, printableJson, showUnseen } from '../printable.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import { type Paint, paintFor, STROKES } from './paint.ts'
import { type ProgressLine, progressLine } from './progress-line.ts'
import type { Surroundings } from './surroundings.ts'

/** What every command takes. */
export interface GlobalOptions {
  readonly config?: string
  readonly debug?: true
}

/** The site of the config in this process, which does no background work. */
export interface OpenSite {
  readonly assembly: Assembly
  readonly geo: Geo
}

/** One call of the command: what its actions share. */
export class CommandLine {
  readonly surroundings: Surroundings
  readonly paint: Paint
  exitCode: ExitCode = EXIT.ok

  constructor(surroundings: Surroundings) {
    this.surroundings = surroundings
    this.paint = paintFor(surroundings)
  }

  /** Lines. Values of others in them are `printable` already: which ends of lines are theirs cannot be told here any more. */
  print(text: string): void {
    this.surroundings.stdout.write(safeLines(text))
  }

  printJson(value: unknown): void {
    this.print(`${printableJson(value)}\n`)
  }

  /** What a command has found out: as JSON, or as text makes of it, which gets each value as it is to be printed. */
  answer<Value>(json: boolean | undefined, value: Value, text: (value: Value) => string): void {
    if (json) this.printJson(value)
    else this.print(text(printable(value)))
  }

  /** Draws over what was drawn before, of so many lines. */
  redraw(text: string, linesDrawn: number): void {
    if (linesDrawn > 0) this.surroundings.stdout.write(`\u001b[${linesDrawn}A\u001b[J`)
    this.print(text)
  }

  /** Something to know beside the answer. */
  note(text: string): void {
    this.surroundings.stderr.write(`geo: ${showUnseen(text)}\n`)
  }

  /** What commander calls, made of what says how the command ends. */
  acting<Options extends object, Args extends unknown[] = []>(
    act: (options: Options & GlobalOptions, ...args: Args) => Promise<ExitCode>,
  ): (...args: unknown[]) => Promise<void> {
    return async (...args) => {
      const command = args.at(-1) as Command
      this.exitCode = await act(
        command.optsWithGlobals() as Options & GlobalOptions,
        ...(command.processedArgs as Args),
      )
    }
  }

  async withSettings<Result>(
    { config }: GlobalOptions,
    act: (settings: GeoSettings) => Promise<Result>,
  ): Promise<Result> {
    const { settings, close } = await this.surroundings.load(config)
    try {
      return await act(settings)
    } finally {
      await close()
    }
  }

  /** `change`: what of the options is to be different for this command. */
  withSite<Result>(
    options: GlobalOptions,
    act: (site: OpenSite) => Promise<Result>,
    change: (settings: GeoSettings) => GeoSettings = (settings) => settings,
  ): Promise<Result> {
    return this.withSettings(options, async (settings) => {
      // Most of the SDK is behind this: other commands, and --help, do not wait for it.
      const [{ assemble }, { facadeOf }] = await Promise.all([import('../geo.ts'), import('../facade.ts')])
      const assembly = assemble({ ...change(settings), work: false })
      try {
        return await act({ assembly, geo: facadeOf(assembly) })
      } finally {
        await assembly.stop()
      }
    })
  }

  /** Runs what shows its progress in one line. */
  async withProgress<Result>(act: (progress: ProgressLine) => Promise<Result>): Promise<Result> {
    const progress = progressLine(this.surroundings.stderr)
    try {
      return await act(progress)
    } finally {
      progress.clear()
    }
  }

  /** Runs what a Ctrl-C ends, not at once but by the signal. */
  async untilInterrupted<Result>(act: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
    const interrupted = new AbortController()
    const stopListening = this.surroundings.onInterrupt(() => interrupted.abort(new GeoError('STOPPED', 'Interrupted')))
    try {
      return await act(interrupted.signal)
    } finally {
      stopListening()
    }
  }

  /** What went wrong and what to do, on standard error. */
  fail(reason: unknown, { debug }: GlobalOptions): ExitCode {
    this.note(messageOf(reason))
    if (reason instanceof GeoError) this.surroundings.stderr.write(`${reason.code}: ${reason.advice}\n`)
    if (debug) this.surroundings.stderr.write(`${safeLines(traceOf(reason))}\n`)
    return EXIT.notDone
  }
}

const isOfLines = (character: string) => character === '\n' || character === '\t'

/** What was made here stays: ends of lines, tabs and colours. */
function safeLines(text: string): string {
  return text
    .split(STROKES)
    .map((part, place) => (place % 2 === 1 ? part : showUnseen(part, isOfLines)))
    .join('')
}

function traceOf(reason: unknown): string {
  if (!(reason instanceof Error)) return String(reason)
  // Its lines are those of the stack alone.
  const stack = reason.stack?.replace(reason.message, () => messageOf(reason)) ?? messageOf(reason)
  return `${stack}${reason.cause === undefined ? '' : `\ncaused by ${traceOf(reason.cause)}`}`
}
