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

function describe(params: unknown): string {
  if (params === undefined) return '()'
  const text = JSON.stringify(params)
  return text.startsWith('{') ? `(${text.slice(1, -1).replaceAll('"', '').replaceAll(',', ', ')})` : `(${text})`
}

/** One of a list, chosen by a number that stays meaningful while the list shrinks. */
export function pick<Item>(items: readonly Item[], which: number): Item | undefined {
  return items[which % Math.max(1, items.length)]
}

export const whichArbitrary = fc.nat({ max: 30 })
