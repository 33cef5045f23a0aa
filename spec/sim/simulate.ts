import fc from 'fast-check'
import type { SimCommand } from './action.ts'
import { anySequence } from './commands/index.ts'
import { Model } from './model.ts'
import { checkByEvents, checkSettled, settleBoth, settleByEvents } from './settled.ts'
import { TYPE_NAMES } from './types.ts'
import type { World } from './world.ts'

export interface SimOptions {
  readonly seed: number
  readonly runs: number
  /** The longest sequence of commands. */
  readonly size: number
  /** Where in the tree of cases to begin, as an earlier failure printed it. */
  readonly path?: string
  readonly replay?: string
  /** Whether a failing sequence is made as short as can be. Default true. */
  readonly shrink?: boolean
  onSequence?(done: number): void
}

export interface SimFailure {
  readonly violated: string
  readonly commands: readonly string[]
  readonly path: string
  readonly replay: string
}

export interface SimResult {
  readonly sequences: number
  readonly failure: SimFailure | null
}

/** Runs sequences of commands against both sites, settles them after each, and shrinks the first that breaks a promise. */
export async function simulate(world: World, options: SimOptions): Promise<SimResult> {
  let sequences = 0
  const property = fc.asyncProperty(
    anySequence({
      maxCommands: options.size,
      size: 'max',
      ...(options.replay !== undefined && { replayPath: options.replay }),
    }),
    async (commands) => {
      await runSequence(world, commands)
      sequences += 1
      options.onSequence?.(sequences)
    },
  )
  const details = await fc.check(property, {
    seed: options.seed,
    numRuns: options.runs,
    endOnFailure: options.shrink === false,
    ...(options.path !== undefined && { path: options.path }),
  })
  const [commands] = details.counterexample ?? []
  if (!details.failed || !commands) return { sequences, failure: null }
  const text = String(commands)
  return {
    sequences,
    failure: {
      violated: String(details.errorInstance),
      commands: text
        .replace(/\/\*.*\*\/$/, '')
        .split(/,(?=[a-zA-Z]+\{)/)
        .map((command) => command.trim()),
      path: details.counterexamplePath ?? '',
      replay: /replayPath="([^"]*)"/.exec(text)?.[1] ?? '',
    },
  }
}

async function runSequence(world: World, commands: Iterable<SimCommand>): Promise<void> {
  const model = new Model()
  await world.reset()
  // From here on the secondary hears of everything.
  await world.secondary.step('events')
  await fc.asyncModelRun(() => ({ model, real: world }), commands)
  if (!model.untold) {
    await settleByEvents(model, world)
    await checkByEvents(model, world)
  }
  await settleBoth(model, world)
  await checkSettled(model, world)
  if (TYPE_NAMES.every((type) => model.flag(type))) return
  for (const type of TYPE_NAMES) {
    model.flags.set(type, true)
    world.flags.set(type, true)
  }
  for (const row of model.rows) row.everOn = true
  await settleBoth(model, world)
  await checkSettled(model, world)
}
