import { beforeEach, expect, it } from 'vitest'
import { declareReplicables } from '../fixtures/widget-app/replicables.ts'
import type { Replicable } from '../lib/blob/replicable.ts'
import { KeyPass } from '../lib/key-pass.ts'
import { untyped } from './support/fixture-rows.ts'

const EVERY_MS = 60_000
const declared = declareReplicables('unused')
const widgets = untyped(declared.widgets)
const gadgets = untyped(declared.gadgets)

let pass: KeyPass
let pages: string[]

beforeEach(() => {
  pass = new KeyPass(EVERY_MS)
  pages = []
})

/** Every type has the pages after null and after `a`. */
async function page({ name }: Replicable, after: string | null): Promise<string | null> {
  pages.push(`${name} after ${after}`)
  return after === null ? 'a' : null
}

const step = (enabled: readonly Replicable[], nowMs = 0, by = page) => pass.step(enabled, nowMs, by)

async function toTheEnd(enabled: readonly Replicable[], nowMs = 0): Promise<string[]> {
  pages = []
  while (await step(enabled, nowMs));
  return pages
}

const OF_WIDGETS = ['widget after null', 'widget after a']
const OF_GADGETS = ['gadget after null', 'gadget after a']

it('walks the types one after another, page by page', async () => {
  expect(await toTheEnd([widgets, gadgets])).toEqual([...OF_WIDGETS, ...OF_GADGETS])
})

it('rests after a pass until it is time', async () => {
  await toTheEnd([widgets])
  expect(await toTheEnd([widgets], EVERY_MS - 1)).toEqual([])
  expect(await toTheEnd([widgets], EVERY_MS)).toEqual(OF_WIDGETS)
})

it('does not keep a type waiting that is enabled for the first time, or again', async () => {
  await toTheEnd([widgets])
  expect(await toTheEnd([widgets, gadgets], 1)).toEqual(OF_GADGETS)
  expect(await toTheEnd([gadgets], 2)).toEqual([])
  expect(await toTheEnd([widgets, gadgets], 3)).toEqual(OF_WIDGETS)
})

it('leaves out a type that is disabled on the way', async () => {
  await step([widgets, gadgets])
  expect(await toTheEnd([gadgets])).toEqual(OF_GADGETS)
})

it('begins anew at once when told to', async () => {
  await toTheEnd([widgets])
  pass.restart()
  expect(await toTheEnd([widgets], 1)).toEqual(OF_WIDGETS)
})

it('begins at the first page when it is told to during a page', async () => {
  const restarted = await step([widgets], 0, async (replicable, after) => {
    pass.restart()
    return page(replicable, after)
  })
  expect(restarted).toBe(true)
  expect(await toTheEnd([widgets], 1)).toEqual(OF_WIDGETS)
})

it('comes back to a page that failed', async () => {
  await step([widgets])
  const failing = async () => {
    throw new Error('no database')
  }
  await expect(step([widgets], 0, failing)).rejects.toThrow('no database')
  expect(await toTheEnd([widgets])).toEqual(['widget after a'])
})

it('lets no type that fails keep the others from their pages, or from their next pass', async () => {
  const widgetsFail = async (replicable: Replicable, after: string | null) => {
    if (replicable === widgets) throw new Error('no such column')
    return page(replicable, after)
  }
  const failAndGoOn = async (nowMs: number) => {
    pages = []
    for (let steps = 0; steps < 8; steps += 1) {
      await step([widgets, gadgets], nowMs, widgetsFail).catch((reason: Error) => pages.push(reason.message))
    }
    return pages
  }
  expect((await failAndGoOn(0)).filter((read) => read !== 'no such column')).toEqual(OF_GADGETS)
  const later = await failAndGoOn(EVERY_MS)
  expect(later.filter((read) => read !== 'no such column')).toEqual(OF_GADGETS)
  expect(later.at(-1)).toBe('no such column')
  expect(await toTheEnd([widgets, gadgets], EVERY_MS)).toEqual(OF_WIDGETS)
})

it('has nothing to do without types', async () => {
  expect(await step([])).toBe(false)
})
