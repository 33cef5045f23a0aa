import fc from 'fast-check'
import { checkAtAnyTime } from './at-any-time.ts'
import type { Model } from './model.ts'
import type { World } from './world.ts'

export type SimCommand = fc.AsyncCommand<Model, World>

/** Something that can happen, with what it is drawn from and how often, compared with the others. */
export interface Action<Params> {
  readonly name: string
  readonly weight: number
  readonly params: fc.Arbitrary<Params>
  possible(model: Model, params: Params): boolean
  act(model: Model, world: World, params: Params): Promise<void>
}

export function commandOf<Params>(action: Action<Params>): { weight: number; arbitrary: fc.Arbitrary<SimCommand> } {
  const arbitrary = action.params.map(
    (params): SimCommand => ({
      check: (model) => action.possible(model as Model, params),
      async run(model, world) {
        await action.act(model, world, params)
        await checkAtAnyTime(model, world)
      },
      toString: () => `${action.name}${describe(params)}`,
    }),
  )
  return { weight: action.weight, arbitrary }
}

/** As a person would write it: `{which:3, at:serve, what:[remove{which:0}]}`. */
export function describe(params: unknown): string {
  if (Array.isArray(params)) return `[${params.map(describe).join(', ')}]`
  if (typeof params !== 'object' || params === null) return String(params)
  if (Object.hasOwn(params, 'toString')) return params.toString()
  return `{${Object.entries(params)
    .map(([name, value]) => `${name}:${describe(value)}`)
    .join(', ')}}`
}

/** One of a list, chosen by a number that stays meaningful while the list shrinks. */
export function pick<Item>(items: readonly Item[], which: number): Item | undefined {
  return items[which % Math.max(1, items.length)]
}

export const whichArbitrary = fc.nat({ max: 30 })
