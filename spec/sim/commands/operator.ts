import fc from 'fast-check'
import type { BulkAction, GeoError } from '../../../lib/index.ts'
import type { Action } from '../action.ts'
import { fits } from '../at-any-time.ts'
import { observe } from '../observe.ts'
import { nameOf, OWNERS, TYPE_NAMES, type TypeName } from '../types.ts'
import { mustHold } from '../violation.ts'
import type { World } from '../world.ts'

/** What people do who run the sites, and the time that goes by. */

const type = fc.constantFrom(...TYPE_NAMES)
const which = fc.constantFrom('primary' as const, 'secondary' as const)

export const flipFlag: Action<{ type: TypeName; on: boolean }> = {
  name: 'flipFlag',
  weight: 3,
  params: fc.record({ type, on: fc.boolean() }),
  possible: (model, { type, on }) => model.flag(type) !== on,
  async act(model, world, { type, on }) {
    model.flags.set(type, on)
    model.untold = true
    world.flags.set(type, on)
    if (on) for (const row of model.rows) if (row.type === type) row.everOn = true
  },
}

export const changeScope: Action<{ owners: readonly string[] | null }> = {
  name: 'changeScope',
  weight: 2,
  params: fc.record({ owners: fc.constantFrom(null, [], [OWNERS[0]], [OWNERS[1]], [...OWNERS]) }),
  possible: () => true,
  async act(model, world, { owners }) {
    const selectiveSync = owners && { type: 'namespaces', namespaceIds: [...owners] }
    world.settingsChanged = true
    await world.primary.geo.sites.update('paris', { selectiveSync })
    model.scope = owners
    model.untold = true
  },
}

export const pauseSite: Action<{ enabled: boolean }> = {
  name: 'pauseSite',
  weight: 1,
  params: fc.record({ enabled: fc.boolean() }),
  possible: () => true,
  async act(_, world, { enabled }) {
    world.settingsChanged = true
    await world.primary.geo.sites.update('paris', { enabled })
  },
}

type Run = { action: BulkAction; type: TypeName; site: 'primary' | 'secondary' }

/** Where one of the same kind is active already, it does what is asked for. */
export async function startRun(world: World, { action, type, site }: Run): Promise<void> {
  try {
    await world[site].geo.bulk.start({ action, type })
  } catch (reason) {
    if ((reason as GeoError).code !== 'BULK_RUN_ACTIVE') throw reason
  }
}

export const bulkRun: Action<Run> = {
  name: 'bulkRun',
  weight: 5,
  params: fc.oneof(
    fc.record({ action: fc.constant('resync' as const), type, site: fc.constant('secondary' as const) }),
    fc.record({ action: fc.constant('reverify' as const), type, site: which }),
  ),
  possible: () => true,
  act: (_, world, run) => startRun(world, run),
}

/** What is brought back from the secondary fits what was recorded, or it is not brought back. */
export const repair: Action<object> = {
  name: 'repair',
  weight: 2,
  params: fc.constant({}),
  possible: () => true,
  async act(model, world) {
    const results = await world.primary.geo.repair()
    const { recorded, primaryFiles } = await observe(world)
    for (const { type, records } of results) {
      for (const { id, key, outcome } of records) {
        if (outcome !== 'repaired' || key === null) continue
        const file = primaryFiles.get(key)
        const right = file && fits(file, recorded.get(nameOf({ type: type as TypeName, id }))?.digest)
        mustHold(right === true, 'what is repaired is right', () => `${type} ${id}: ${key}`)
        model.put(key, file ?? null)
      }
    }
  },
}

const MINUTE_S = 60
const HOUR_S = 60 * MINUTE_S
const DAY_S = 24 * HOUR_S
const DAYS_EVENTS_ARE_KEPT = 7

export const passTime: Action<{ seconds: number }> = {
  name: 'passTime',
  weight: 6,
  params: fc.record({
    seconds: fc.constantFrom(1, 10, 25, 2 * MINUTE_S, 2 * HOUR_S, 5 * HOUR_S, 6 * DAY_S, 9 * DAY_S),
  }),
  possible: () => true,
  async act(model, world, { seconds }) {
    await world.pass(seconds)
    model.daysPassed += seconds / DAY_S
    if (model.daysPassed >= DAYS_EVENTS_ARE_KEPT) model.untold = true
  },
}

export const setWallClock: Action<{ site: 'primary' | 'secondary'; offSeconds: number }> = {
  name: 'setWallClock',
  weight: 1,
  params: fc.record({
    site: which,
    offSeconds: fc.constantFrom(-HOUR_S, -30, 0, 30, HOUR_S),
  }),
  possible: () => true,
  async act(_, world, { site, offSeconds }) {
    world[site].clock.setWall(offSeconds * 1000)
  },
}
