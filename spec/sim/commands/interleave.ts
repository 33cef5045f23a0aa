import fc from 'fast-check'
import type { Action } from '../action.ts'
import { MOMENTS, type Moment } from '../lifeline.ts'
import type { Model } from '../model.ts'
import type { World } from '../world.ts'
import * as host from './host.ts'
import * as misfortune from './misfortune.ts'
import { workOnce } from './process.ts'

type Happening = { readonly text: string; happen(model: Model, world: World): Promise<void> }

function happening<Params>(action: Action<Params>): { weight: number; arbitrary: fc.Arbitrary<Happening> } {
  const arbitrary = action.params.map((params) => ({
    text: `${action.name} ${JSON.stringify(params)}`,
    async happen(model: Model, world: World) {
      if (action.possible(model, params)) await action.act(model, world, params)
    },
  }))
  return { weight: action.weight, arbitrary }
}

const LOCK_NOT_AVAILABLE = '55P03'

/**
 * Something happens in the middle of the next transfer, hashing or removal: another process works, the host writes. What would
 * have to wait for the one that is interrupted does not happen.
 */
export const interleave: Action<{ at: Moment; what: Happening }> = {
  name: 'interleave',
  weight: 8,
  params: fc.record({
    at: fc.constantFrom(...MOMENTS),
    what: fc.oneof(
      happening(host.create),
      happening(host.rename),
      happening(host.rewrite),
      happening(host.takeFile),
      happening(host.remove),
      happening(host.reinsert),
      happening(misfortune.spoilOriginal),
      happening(workOnce),
    ),
  }),
  possible: () => true,
  async act(model, world, { at, what }) {
    world.moments.set(at, async () => {
      try {
        await what.happen(model, world)
      } catch (reason) {
        if ((reason as { code?: string }).code !== LOCK_NOT_AVAILABLE) throw reason
      }
    })
  },
}
