import fc from 'fast-check'
import { type Action, pick, whichArbitrary as which } from '../action.ts'
import { type Spoiling, spoil } from '../blob.ts'
import { writeFile } from '../disk.ts'
import type { Fault } from '../site-server.ts'

/** What goes wrong with disks, events and the network. */

const how = fc.constantFrom<Spoiling>('flip', 'truncate', 'remove', 'replace')

export const spoilOriginal: Action<{ which: number; how: Spoiling }> = {
  name: 'spoilOriginal',
  weight: 3,
  params: fc.record({ which, how }),
  possible: (model) => model.files.size > 0,
  async act(model, world, { which, how }) {
    const found = pick([...model.files], which)
    if (!found) return
    const [key, blob] = found
    const left = spoil(blob, how)
    writeFile(world.primary.root, key, left)
    model.spoil(key, left)
  },
}

export const spoilCopy: Action<{ which: number; how: Spoiling }> = {
  name: 'spoilCopy',
  weight: 4,
  params: fc.record({ which, how }),
  possible: (model) => (model.seen?.copies.size ?? 0) > 0,
  async act(model, world, { which, how }) {
    const found = pick([...(model.seen?.copies ?? [])], which)
    if (!found) return
    const [key, blob] = found
    const left = spoil(blob, how)
    writeFile(world.secondary.root, key, left)
    model.spoiledCopies.set(key, left)
  },
}

export const loseEvents: Action<{ which: number }> = {
  name: 'loseEvents',
  weight: 2,
  params: fc.record({ which }),
  possible: () => true,
  async act(model, world, { which }) {
    const events: { id: string }[] = await world.main('geo_events').orderByRaw('geo_events.id desc').select('id')
    const lost = pick(events, which)
    if (!lost) return
    await world.main('geo_events').where('id', lost.id).delete()
    model.untold = true
  },
}

export const repeatEvents: Action<{ which: number }> = {
  name: 'repeatEvents',
  weight: 2,
  params: fc.record({ which }),
  possible: () => true,
  async act(_, world, { which }) {
    const events: { id: string }[] = await world.main('geo_events').orderBy('id').select('id')
    const repeated = pick(events, which)
    if (!repeated) return
    await world.main.raw(
      `insert into geo_events (replicable_name, event_name, payload)
       select replicable_name, event_name, payload from geo_events where id = ?`,
      [repeated.id],
    )
  },
}

/** The events that the secondary has not read come in another order. */
export const reorderEvents: Action<{ by: 'backwards' | 'byName' }> = {
  name: 'reorderEvents',
  weight: 2,
  params: fc.record({ by: fc.constantFrom('backwards' as const, 'byName' as const) }),
  possible: () => true,
  async act(_, world, { by }) {
    const cursor = await world
      .tracking('geo_event_cursors')
      .first(world.tracking.raw('xact_id::text as xact, event_id as id'))
    if (!cursor) return
    await world.main.raw(
      `with taken as (delete from geo_events where (xact_id, id) > (?::xid8, ?::bigint) returning *)
       insert into geo_events (replicable_name, event_name, payload)
       select replicable_name, event_name, payload from taken
       order by ${by === 'byName' ? 'event_name desc, ' : ''}id desc`,
      [cursor.xact, cursor.id],
    )
  },
}

const fault = fc.oneof<fc.Arbitrary<Fault>[]>(
  fc.constant({ kind: 'refuse' }),
  fc.record({ kind: fc.constant('busy' as const), retryAfterS: fc.constantFrom(null, 0, 30) }),
  fc.record({ kind: fc.constant('cut' as const), afterBytes: fc.constantFrom(0, 1, 60, 150, 70_000, 300_000) }),
)

export const failNextRequest: Action<Fault> = {
  name: 'failNextRequest',
  weight: 4,
  params: fault,
  possible: () => true,
  async act(_, world, next) {
    world.server.failOnce(next)
  },
}
