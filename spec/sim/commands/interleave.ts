import fc from 'fast-check'
import { type Action, describe } from '../action.ts'
import { MOMENTS, type Moment } from '../lifeline.ts'
import type { Model } from '../model.ts'
import type { World } from '../world.ts'
import * as host from './host.ts'
import * as misfortune from './misfortune.ts'
import { workOnce } from './process.ts'

interface Happening {
  toString(): string
  happen(model: Model, world: World): Promise<void>
}

function happening<Params>(action: Action<Params>): { weight: number; arbitrary: fc.Arbitrary<Happening> } {
  const arbitrary = action.params.map((params) => ({
    toString: () => `${action.name}${describe(params)}`,
    async happen(model: Model, world: World) {
      if (action.possible(model, params)) await action.act(model, world, params)
    },
  }))
  return { weight: action.weight, arbitrary }
}

const anything = fc.oneof(
  happening(host.create),
  happening(host.rename),
  happening(host.rewrite),
  happening(host.takeFile),
  happening(host.remove),
  happening(host.reinsert),
  happening(misfortune.spoilOriginal),
  happening(workOnce),
)

const LOCK_NOT_AVAILABLE = '55P03'

/**
 * Something happens in the middle of the next transfer, hashing or removal: another process works, the host writes. What would
 * have to wait for the one that is interrupted does not happen.
 */
export const interleave: Action<{ at: Moment; what: readonly Happening[] }> = {
  name: 'interleave',
  weight: 14,
  params: fc.record({
    at: fc.constantFrom(...MOMENTS),
    what: fc.array(anything, { minLength: 1, maxLength: 3 }),
  }),
  possible: () => true,
  async act(model, world, { at, what }) {
    world.moments.set(at, async () => {
      for (const { happen } of what) await unlessLocked(() => happen(model, world))
    })
  },
}

async function unlessLocked(happen: () => Promise<void>): Promise<void> {
  try {
    await happen()
  } catch (reason) {
    if ((reason as { code?: string }).code !== LOCK_NOT_AVAILABLE) throw reason
  }
}
