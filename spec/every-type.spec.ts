import { expect, it } from 'vitest'
import { declareReplicables } from '../fixtures/widget-app/replicables.ts'
import { forEveryType } from '../lib/every-type.ts'
import { untyped } from './support/fixture-rows.ts'

const { widgets, gadgets } = declareReplicables('unused')
const types = [untyped(widgets), untyped(gadgets)]

/** Which had their turn, and what was thrown in the end. */
async function turns(failures: Readonly<Record<string, Error>>) {
  const had: string[] = []
  const thrown = await forEveryType(types, async ({ name }) => {
    had.push(name)
    const failure = failures[name]
    if (failure) throw failure
  }).catch((reason: unknown) => reason)
  return { had, thrown }
}

it('Each type has its turn, whatever fails for another, and the first failure is told', async () => {
  const [first, second] = [new Error('of widgets'), new Error('of gadgets')]
  expect(await turns({})).toEqual({ had: ['widget', 'gadget'], thrown: undefined })
  expect(await turns({ widget: first, gadget: second })).toEqual({ had: ['widget', 'gadget'], thrown: first })
})

it('None is kept waiting for a database that is away', async () => {
  const away = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  expect(await turns({ widget: away })).toEqual({ had: ['widget'], thrown: away })
})
