import { beforeEach, expect, it } from 'vitest'
import { declareReplicables } from '../fixtures/widget-app/replicables.ts'
import type { Replicable } from '../lib/blob/replicable.ts'
import { ManualClock } from '../lib/testing/manual-clock.ts'
import { type PeriodicWork, timetable } from '../lib/timetable.ts'
import { TypeTurns } from '../lib/type-turns.ts'
import { untyped } from './support/fixture-rows.ts'

const declared = declareReplicables('unused')
const widgets = untyped(declared.widgets)
const gadgets = untyped(declared.gadgets)

let clock: ManualClock
let turns: TypeTurns
let left: Map<Replicable, number>
let looks: number
let claims: number
/** Types whose claims get less than they ask for. */
let halfFull: readonly Replicable[]

beforeEach(() => {
  clock = new ManualClock()
  turns = new TypeTurns(clock)
  left = new Map()
  looks = 0
  claims = 0
  halfFull = []
})

function take(enabled: readonly Replicable[] = [widgets, gadgets]): Promise<Replicable | null> {
  return turns.take(
    enabled,
    async (types) => {
      looks += 1
      return types.filter((type) => (left.get(type) ?? 0) > 0)
    },
    async (type) => {
      const batches = left.get(type) ?? 0
      claims += 1
      left.set(type, Math.max(0, batches - 1))
      return batches > 0 ? type : null
    },
    (type) => !halfFull.includes(type),
  )
}

it('Types that have work take turns', async () => {
  left.set(widgets, 2).set(gadgets, 3)
  const taken = [await take(), await take(), await take(), await take(), await take(), await take()]
  expect(taken).toEqual([widgets, gadgets, widgets, gadgets, gadgets, null])
})

it('A type whose claim was not full is not claimed from again without a look', async () => {
  halfFull = [widgets]
  left.set(widgets, 1)
  expect([await take(), await take()]).toEqual([widgets, null])
  expect({ looks, claims }).toEqual({ looks: 2, claims: 1 })
})

it('A type with an endless backlog is not looked for batch by batch, and keeps none from being found', async () => {
  left.set(widgets, 1000)
  for (let batch = 0; batch < 50; batch += 1) expect(await take()).toBe(widgets)
  expect(looks).toBe(1)
  left.set(gadgets, 1)
  clock.advance(250)
  expect([await take(), await take()]).toContain(gadgets)
  expect(looks).toBe(2)
})

it('Where the types of a moment ago have no more work, all are asked about at once', async () => {
  left.set(widgets, 1)
  expect(await take()).toBe(widgets)
  left.set(gadgets, 1)
  expect(await take()).toBe(gadgets)
  expect(await take()).toBeNull()
  expect(looks).toBe(3)
})

it('A type that is switched off has no turn', async () => {
  left.set(widgets, 10).set(gadgets, 10)
  await take()
  expect([await take([widgets]), await take([widgets])]).toEqual([widgets, widgets])
})

it('What looks cost a second does not grow with the number of types, from twenty on', () => {
  const work = new Proxy({}, { get: () => async () => false }) as PeriodicWork
  const restMs = (types: number, name: string) => timetable(work, types).find((job) => job.name === name)?.idleMs
  for (const name of ['verify-primary', 'sync', 'verify']) {
    expect([1, 20, 100].map((types) => restMs(types, name))).toEqual([250, 250, 1250])
  }
  expect([1, 20, 100].map((types) => restMs(types, 'events'))).toEqual([250, 250, 250])
})

it('A type that cannot be asked keeps no other from its turn, and has one of its own, in which it says why', async () => {
  const refused = Object.assign(new Error('column is gone'), { code: '42703', severity: 'ERROR' })
  const waiting = async (types: readonly Replicable[]): Promise<Replicable[]> => {
    if (types.includes(widgets)) throw refused
    return [...types]
  }
  const turn = () =>
    turns.take(
      [widgets, gadgets],
      waiting,
      async (type) => {
        if (type === widgets) throw refused
        return type
      },
      () => true,
    )
  await expect(turn()).rejects.toBe(refused)
  expect(await turn()).toBe(gadgets)
  const alone = turns.take(
    [widgets],
    waiting,
    async (type) => type,
    () => true,
  )
  await expect(alone).rejects.toBe(refused)
  const away = Object.assign(new Error('terminated'), { code: '57P01', severity: 'FATAL' })
  const none = () =>
    new TypeTurns(clock).take(
      [widgets, gadgets],
      () => Promise.reject(away),
      async (type) => type,
      () => true,
    )
  await expect(none()).rejects.toBe(away)
})
