import { beforeEach, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import type { GeoSignalName } from '../../lib/signals.ts'
import { Pauses } from '../../lib/sync/pauses.ts'
import { shiftedClock } from '../../lib/testing/shifted-clock.ts'
import type { Refusal } from '../../lib/transfer/refusal.ts'
import { untyped } from '../support/fixture-rows.ts'
import { recordingLogger } from '../support/recording-logger.ts'

const declared = declareReplicables('unused')
const [widgets, gadgets] = [untyped(declared.widgets), untyped(declared.gadgets)]
const BOTH = [widgets, gadgets]
const BUSY: Refusal = { kind: 'pause', code: 'PRIMARY_BUSY', message: 'busy' }
const STORE_AWAY: Refusal = { ...BUSY, message: 'its store is away', ofType: true }

let clock: ReturnType<typeof shiftedClock>
let told: string[]
let pauses: Pauses
const names = () => pauses.askable(BOTH).map(({ name }) => name)

beforeEach(() => {
  clock = shiftedClock()
  told = []
  const tell = (name: GeoSignalName, fields: object) =>
    void told.push(`${name} ${'type' in fields ? fields.type : 'without a type'}`)
  pauses = new Pauses({ clock, logger: recordingLogger(), signals: { tell } })
})

it('A primary that is busy is asked for nothing until the pause is over', () => {
  pauses.settle(widgets, BUSY, clock.monotonicMs())
  expect([names(), pauses.refusal]).toEqual([[], BUSY])
  clock.advance(500)
  expect(names()).toEqual(['widget', 'gadget'])
  pauses.settle(gadgets, null, clock.monotonicMs())
  expect(pauses.refusal).toBeNull()
  expect(told).toEqual(['transfers:paused null', 'transfers:resumed null'])
})

it('Where the store of a type is away there, the others are asked for as ever, and it is told of once', () => {
  for (let refusals = 0; refusals < 5; refusals += 1) {
    pauses.settle(widgets, STORE_AWAY, clock.monotonicMs())
    pauses.settle(gadgets, null, clock.monotonicMs())
    expect([names(), pauses.refusal]).toEqual([['gadget'], STORE_AWAY])
    // Longer each time.
    clock.advance(500 * 2 ** refusals - 100)
    expect(names()).toEqual(['gadget'])
    clock.advance(100)
    expect(names()).toEqual(['widget', 'gadget'])
  }
  pauses.settle(widgets, null, clock.monotonicMs())
  expect([names(), pauses.refusal]).toEqual([['widget', 'gadget'], null])
  expect(told).toEqual(['transfers:paused widget', 'transfers:resumed widget'])
})

it('It is an answer: what paused for a primary that was away goes on', () => {
  pauses.settle(gadgets, { ...BUSY, code: 'PRIMARY_UNREACHABLE' }, clock.monotonicMs())
  clock.advance(500)
  pauses.settle(widgets, STORE_AWAY, clock.monotonicMs())
  expect([names(), pauses.refusal]).toEqual([['gadget'], STORE_AWAY])
})

it('A type of which nothing more is asked for is not said to pause for ever', () => {
  pauses.settle(widgets, STORE_AWAY, clock.monotonicMs())
  clock.advance(60_000)
  expect([names(), pauses.refusal]).toEqual([['widget', 'gadget'], STORE_AWAY])
  clock.advance(1000)
  expect([names(), pauses.refusal]).toEqual([['widget', 'gadget'], null])
  expect(told).toEqual(['transfers:paused widget', 'transfers:resumed widget'])
})
