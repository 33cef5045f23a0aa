import type { Knex } from 'knex'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { assemble } from '../../lib/geo.ts'
import {
  createEventTriggers,
  createGeo,
  dropEventTriggers,
  type EventTriggerOptions,
  type Geo,
  type GeoOptions,
} from '../../lib/index.ts'
import { parseOptions } from '../../lib/options.ts'
import { step } from '../../lib/testing/settle.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addHostRow, addSites, ENCRYPTION_KEY, untyped } from '../support/fixture-rows.ts'

const { widgets, gadgets } = declareReplicables('unused')

const WIDGETS: EventTriggerOptions = {
  table: 'widgets',
  columns: ['file_path'],
  blobColumn: 'file_path',
  verificationState: 'separate',
}
const GADGETS: EventTriggerOptions = { ...WIDGETS, table: 'gadgets', verificationState: 'columns' }

let databases: SpecDatabases
let main: Knex
let flag: boolean
const opened: Geo[] = []

beforeAll(async () => {
  databases = await createSpecDatabases()
  main = databases.main
  await createEventTriggers(main, 'widget', WIDGETS)
  await createEventTriggers(main, 'gadget', GADGETS)
})
afterAll(() => databases.destroy())

beforeEach(async () => {
  for (const table of ['widgets', 'gadgets', 'geo_events', 'geo_nodes', 'geo_switches']) await main(table).delete()
  flag = true
  await addSites(main, 'tokyo')
  await writeSwitches()
  return async () => {
    await Promise.all(opened.splice(0).map((geo) => geo.stop()))
  }
})

function optionsOf(): GeoOptions {
  return {
    siteName: 'rome',
    mainDb: main,
    replicables: [widgets, gadgets],
    features: { isEnabled: () => flag },
    encryptionKey: ENCRYPTION_KEY.toString('hex'),
    work: false,
    threads: 1,
  }
}

function site(): Geo {
  const geo = createGeo(optionsOf())
  opened.push(geo)
  return geo
}

/** What a working process of the primary does every few seconds. */
async function writeSwitches(): Promise<void> {
  const parts = assemble(parseOptions(optionsOf()))
  await parts.sites.refresh()
  await step(parts, 'switches')
  await parts.stop()
}

interface EventRow {
  readonly replicable_name: string
  readonly event_name: string
  readonly payload: Record<string, string>
}

async function events(): Promise<[string, string, Record<string, string>][]> {
  const rows: EventRow[] = await main('geo_events').orderBy('id')
  return rows.map(({ replicable_name, event_name, payload }) => [replicable_name, event_name, payload])
}

const told = async () => (await events()).map(([name, event]) => `${name}:${event}`)

const widgetState = () => main('widget_states').first()
const recorded = {
  verification_state: V.succeeded,
  verification_checksum: Buffer.from('01aa', 'hex'),
  verified_at: new Date(),
}
const forgotten = { verification_state: V.pending, verification_checksum: null }

describe('What raw SQL writes', () => {
  it.each([untyped(widgets), untyped(gadgets)])(
    'to $table is told in its transaction, as calls tell it',
    async (type) => {
      const { table, name } = type
      const id = await main.transaction(async (trx) => {
        const inserted = await addHostRow(trx, type, { filePath: 'a' })
        await trx(table).where({ id: inserted }).update({ file_path: 'b' })
        await trx(table).where({ id: inserted }).delete()
        return inserted
      })
      expect(await events()).toEqual([
        [name, 'created', { model_record_id: id }],
        [name, 'updated', { model_record_id: id }],
        [name, 'deleted', { model_record_id: id, blob_path: 'b' }],
      ])
      const writers = await main('geo_events').distinct('xact_id')
      expect(writers).toHaveLength(1)
    },
  )

  it('and rolls back is not told', async () => {
    await expect(
      main.transaction(async (trx) => {
        await addHostRow(trx, untyped(widgets))
        throw new Error('changed its mind')
      }),
    ).rejects.toThrow('changed its mind')
    expect(await events()).toEqual([])
  })

  it('is to be hashed: a new row, and a row with another file, whose checksum is void', async () => {
    const id = await addHostRow(main, untyped(widgets))
    expect(await widgetState()).toMatchObject({ widget_id: id, ...forgotten })
    await main('widget_states').update(recorded)
    await main('widgets').update({ file_path: 'other' })
    expect(await widgetState()).toMatchObject(forgotten)

    await addHostRow(main, untyped(gadgets))
    await main('gadgets').update(recorded)
    await main('gadgets').update({ file_path: 'other' })
    expect(await main('gadgets').first()).toMatchObject(forgotten)
  })

  it('is not told while there is no file, and as an update once there is one', async () => {
    await addHostRow(main, untyped(widgets), { filePath: null })
    expect(await told()).toEqual([])
    await main('widgets').update({ file_path: 'now' })
    expect(await told()).toEqual(['widget:updated'])
  })

  it('under another key is told as one row gone and one come', async () => {
    const id = await addHostRow(main, untyped(gadgets))
    const [{ id: other }] = await main('gadgets')
      .update({ id: main.raw('gen_random_uuid()') })
      .returning('id')
    expect((await events()).slice(1)).toEqual([
      ['gadget', 'deleted', { model_record_id: id, blob_path: 'some/file' }],
      ['gadget', 'created', { model_record_id: other }],
    ])
  })

  it('as a role without any right on our tables, with a search path of its own, is told too', async () => {
    await main.raw('drop role if exists geo_other_program')
    await main.raw('create role geo_other_program')
    await main.raw('grant insert on widgets to geo_other_program')
    await main.raw('grant usage on sequence widgets_id_seq to geo_other_program')
    try {
      await main.transaction(async (trx) => {
        await trx.raw('set local role geo_other_program')
        await trx.raw(`set local search_path = ''`)
        await trx.raw(`insert into public.widgets (name, file_path) values ('x', 'y')`)
      })
    } finally {
      await main.raw('drop owned by geo_other_program; drop role geo_other_program')
    }
    expect(await told()).toEqual(['widget:created'])
  })

  it('is told although the statement did not name the column: a trigger of the host changed it', async () => {
    await addHostRow(main, untyped(widgets), { filePath: 'a' })
    await main.raw(`create function moved() returns trigger language plpgsql as
      $$ begin new.file_path := 'moved'; return new; end $$`)
    await main.raw('create trigger moved before update on widgets for each row execute function moved()')
    try {
      await main('widgets').update({ name: 'renamed' })
    } finally {
      await main.raw('drop trigger moved on widgets; drop function moved()')
    }
    expect(await told()).toEqual(['widget:created', 'widget:updated'])
  })
})

describe('An update of other columns', () => {
  it('calls nothing: neither what the host keeps beside its file nor our own checksums', async () => {
    await addHostRow(main, untyped(gadgets))
    for (const change of [`name = 'renamed'`, 'file_path = file_path', 'verification_state = 2']) {
      const { rows } = await main.raw(`explain (analyze, format json) update gadgets set ${change}`)
      const triggers: { 'Trigger Name': string }[] = rows[0]['QUERY PLAN'][0].Triggers
      expect([change, triggers]).toEqual([change, []])
    }
    const { rows } = await main.raw(`explain (analyze, format json) update gadgets set file_path = 'other'`)
    expect(rows[0]['QUERY PLAN'][0].Triggers).toEqual([
      expect.objectContaining({ 'Trigger Name': 'geo_gadget_updated', Calls: 1 }),
    ])
    expect(await told()).toEqual(['gadget:created', 'gadget:updated'])
  })
})

describe('Where the host calls as well', () => {
  it.each([untyped(widgets), untyped(gadgets)])('nothing of $table is told twice', async (type) => {
    const replicator = site().replicator(type)
    const { table, name } = type
    await main.transaction(async (trx) => {
      for (const filePath of ['a', 'b']) {
        const id = await addHostRow(trx, type, { filePath })
        await replicator.created(await trx(table).where({ id }).first(), trx)
      }
    })
    await main.transaction(async (trx) => {
      const rows = await trx(table)
        .update({ file_path: trx.raw(`file_path || '2'`) })
        .returning('*')
      for (const row of rows) await replicator.updated(row, trx)
      for (const row of rows) {
        await trx(table).where({ id: row.id }).delete()
        await replicator.deleted(row, trx)
      }
    })
    expect(await told()).toEqual(
      ['created', 'created', 'updated', 'updated', 'deleted', 'deleted'].map((event) => `${name}:${event}`),
    )
  })

  it('the event learns from the call what the trigger could not know', async () => {
    const { blobColumn: _, ...withoutKey } = WIDGETS
    await createEventTriggers(main, 'widget', withoutKey)
    try {
      await main.transaction(async (trx) => {
        const id = await addHostRow(trx, untyped(widgets), { filePath: 'made/of/parts' })
        const row = await trx('widgets').where({ id }).first()
        await trx('widgets').delete()
        await site().replicator(widgets).deleted(row, trx)
      })
    } finally {
      await createEventTriggers(main, 'widget', WIDGETS)
    }
    expect((await events()).at(-1)).toEqual([
      'widget',
      'deleted',
      { model_record_id: expect.any(String), blob_path: 'made/of/parts' },
    ])
    expect(await told()).toEqual(['widget:created', 'widget:deleted'])
  })

  it('a call of which no trigger knows is told: other bytes under the same key', async () => {
    const id = await addHostRow(main, untyped(widgets))
    const row = await main('widgets').where({ id }).first()
    await main.transaction((trx) => site().replicator(widgets).updated(row, trx))
    expect(await told()).toEqual(['widget:created', 'widget:updated'])
  })

  it('what another transaction told of the same row does not count', async () => {
    const id = await addHostRow(main, untyped(widgets))
    const row = await main('widgets').where({ id }).first()
    await main.transaction((trx) => site().replicator(widgets).created(row, trx))
    expect(await told()).toEqual(['widget:created', 'widget:created'])
  })
})

describe('Nothing is told', () => {
  it('while the flag is off, and a former checksum is void all the same', async () => {
    const id = await addHostRow(main, untyped(widgets))
    await main('widget_states').update(recorded)
    flag = false
    await writeSwitches()
    await main('geo_events').delete()
    await main('widgets').update({ file_path: 'other' })
    await addHostRow(main, untyped(widgets))
    expect(await main('widget_states')).toEqual([expect.objectContaining({ widget_id: id, ...forgotten })])
    await main('widgets').delete()
    expect(await told()).toEqual([])
  })

  it('of a type that was never on, which leaves no row of its own either', async () => {
    await main('geo_switches').delete()
    flag = false
    await writeSwitches()
    await addHostRow(main, untyped(widgets))
    expect(await told()).toEqual([])
    expect(await main('geo_switches')).toEqual([])
    expect(await main('widget_states')).toEqual([])
  })

  it('where no site is the primary yet, and nothing is to be hashed', async () => {
    await main('geo_nodes').where({ primary: true }).update({ primary: false })
    await addHostRow(main, untyped(widgets))
    expect(await told()).toEqual([])
    expect(await widgetState()).toBeUndefined()
  })

  it('to the log while there is no secondary', async () => {
    await main('geo_nodes').where({ primary: false }).delete()
    await addHostRow(main, untyped(widgets))
    expect(await told()).toEqual([])
    expect(await widgetState()).toMatchObject(forgotten)
  })
})

describe('The triggers', () => {
  it('are made anew where they are, and leave nothing behind', async () => {
    await createEventTriggers(main, 'widget', WIDGETS)
    await dropEventTriggers(main, 'widget', { table: 'widgets' })
    await dropEventTriggers(main, 'widget', { table: 'widgets' })
    const { rows } = await main.raw(
      `select tgname::text as name from pg_trigger where tgrelid = 'widgets'::regclass and not tgisinternal
       union all select proname::text from pg_proc where proname like 'geo_tell%widget'`,
    )
    expect(rows).toEqual([])
    await addHostRow(main, untyped(widgets))
    expect(await told()).toEqual([])
    await createEventTriggers(main, 'widget', WIDGETS)
  })

  it('tell of a table in a schema of its own, with a key and names of its own', async () => {
    await main.raw('create schema "Shop"')
    await main.raw('create table "Shop"."Photos" ("photoId" uuid primary key, "where" json, ready boolean)')
    await main.raw('create table "Shop".photo_marks as select * from widget_states limit 0')
    await main.raw('alter table "Shop".photo_marks rename widget_id to photo_id')
    await main.raw('alter table "Shop".photo_marks drop column photo_id, add column photo_id uuid primary key')
    try {
      await createEventTriggers(main, 'photo', {
        table: 'Shop.Photos',
        keyColumn: 'photoId',
        columns: ['where', 'ready'],
        verificationState: 'separate',
        stateTable: 'Shop.photo_marks',
      })
      await main('geo_switches').insert({ replicable_name: 'photo', enabled: true })
      const photoId = '6f9619ff-8b86-4011-b42d-00c04fc964ff'
      await main('Shop.Photos').insert({ photoId, where: '{"a":1}', ready: false })
      await main('Shop.Photos').update({ ready: true })
      await main('Shop.Photos').update({ where: '{"a":1}' })
      await main('Shop.Photos').update({ where: '{"a":2}' })
      await main('Shop.Photos').delete()
      expect(await events()).toEqual(
        ['created', 'updated', 'updated', 'deleted'].map((event) => ['photo', event, { model_record_id: photoId }]),
      )
      expect(await main('Shop.photo_marks')).toHaveLength(1)
    } finally {
      await main.raw('drop schema "Shop" cascade')
    }
  })

  it.each<[string, Partial<EventTriggerOptions>, string]>([
    ['without a column', { columns: [] }, 'must name'],
    [
      'with a column that is none',
      { columns: ['a"; drop table'], blobColumn: 'file_path' },
      'not the name of a column',
    ],
    ['with a key that is not among the columns', { blobColumn: 'name' }, 'among its columns'],
    ['for a state that is kept nowhere', { verificationState: 'elsewhere' as 'columns' }, 'must be "separate"'],
    ['for a table that is not there', { table: 'nowhere' }, 'no table'],
  ])('are refused %s', async (_, options, message) => {
    await expect(createEventTriggers(main, 'widget', { ...WIDGETS, ...options })).rejects.toThrow(message)
  })
})
