import { randomUUID } from 'node:crypto'
import type { Knex } from 'knex'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { createGeo, type Geo, type GeoOptions } from '../../lib/index.ts'
import { VERIFICATION_STATE } from '../../lib/verification/verification-state.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addHostRow, addSites, ENCRYPTION_KEY, untyped } from '../support/fixture-rows.ts'

const { widgets, gadgets } = declareReplicables('unused')

let databases: SpecDatabases
const opened: Geo[] = []

beforeAll(async () => {
  databases = await createSpecDatabases()
})
afterAll(() => databases.destroy())

beforeEach(async () => {
  const { main } = databases
  for (const table of ['widgets', 'gadgets', 'geo_events', 'geo_nodes']) await main(table).delete()
  return async () => {
    await Promise.all(opened.splice(0).map((geo) => geo.stop()))
  }
})

async function site(options: Partial<GeoOptions> = {}, secondaries: string[] = ['tokyo']): Promise<Geo> {
  await addSites(databases.main, ...secondaries)
  const geo = createGeo({
    siteName: 'rome',
    mainDb: databases.main,
    replicables: [widgets, gadgets],
    features: { isEnabled: () => true },
    encryptionKey: ENCRYPTION_KEY.toString('hex'),
    work: false,
    ...options,
  })
  opened.push(geo)
  return geo
}

async function addWidget(db: Knex, filePath: string | null = 'a/b') {
  const id = await addHostRow(db, untyped(widgets), { filePath })
  return db('widgets').where({ id }).first()
}

async function events() {
  const rows = await databases.main('geo_events').orderBy('id')
  return rows.map(({ replicable_name: name, event_name: event, payload }) => ({ name, event, payload }))
}

function states() {
  return databases.main('widget_states').orderBy('widget_id')
}

describe('A write of the host on the primary', () => {
  it('leaves one event per call, with the key of the record as text', async () => {
    const geo = await site()
    const row = await addWidget(databases.main)
    const gadget = { id: randomUUID(), file_path: 'g' }
    await databases.main.transaction(async (trx) => {
      await geo.replicator(widgets).created(row, trx)
      await geo.replicator(widgets).updated(row, trx)
      await geo.replicator(gadgets).created(gadget as Parameters<typeof gadgets.blob>[0], trx)
      await geo.replicator(widgets).deleted(row, trx)
    })
    expect(await events()).toEqual([
      { name: 'widget', event: 'created', payload: { model_record_id: row.id } },
      { name: 'widget', event: 'updated', payload: { model_record_id: row.id } },
      { name: 'gadget', event: 'created', payload: { model_record_id: gadget.id } },
      { name: 'widget', event: 'deleted', payload: { model_record_id: row.id, blob_path: 'a/b' } },
    ])
    expect(row.id).toEqual(expect.any(String))
  })

  it('says no path in the event of a deleted row that had no file', async () => {
    const geo = await site()
    const row = await addWidget(databases.main, null)
    await databases.main.transaction((trx) => geo.replicator(widgets).deleted(row, trx))
    expect(await events()).toEqual([{ name: 'widget', event: 'deleted', payload: { model_record_id: row.id } }])
  })

  it('leaves neither event nor state where its transaction is rolled back', async () => {
    const geo = await site()
    const attempt = databases.main.transaction(async (trx) => {
      await geo.replicator(widgets).created(await addWidget(trx), trx)
      throw new Error('the host changed its mind')
    })
    await expect(attempt).rejects.toThrow('the host changed its mind')
    expect(await events()).toEqual([])
    expect(await states()).toEqual([])
  })

  it('fails with its event: nothing is published in silence', async () => {
    const geo = await site()
    const { main } = databases
    await main.raw('alter table geo_events add constraint broken check (false)')
    try {
      const attempt = main.transaction(async (trx) => {
        await geo.replicator(widgets).created(await addWidget(trx), trx)
      })
      await expect(attempt).rejects.toThrow('broken')
      expect(await main('widgets')).toEqual([])
    } finally {
      await main.raw('alter table geo_events drop constraint broken')
    }
  })
})

describe('Nothing is written', () => {
  it.each<{ where: string; options: Partial<GeoOptions>; secondaries: string[] }>([
    { where: 'on a secondary', options: { siteName: 'tokyo' }, secondaries: ['tokyo'] },
    { where: 'at a site that is not registered', options: { siteName: 'oslo' }, secondaries: ['tokyo'] },
    { where: 'with the flag off', options: { features: { isEnabled: () => false } }, secondaries: ['tokyo'] },
  ])('$where', async ({ options, secondaries }) => {
    const geo = await site(options, secondaries)
    await databases.main.transaction(async (trx) => {
      const row = await addWidget(trx)
      await geo.replicator(widgets).created(row, trx)
      await geo.replicator(widgets).updated(row, trx)
      await geo.replicator(widgets).deleted(row, trx)
    })
    expect(await events()).toEqual([])
    expect(await states()).toEqual([])
  })

  it('to the log where there is no secondary to tell', async () => {
    const geo = await site({}, [])
    await databases.main.transaction(async (trx) => {
      const row = await addWidget(trx)
      await geo.replicator(widgets).created(row, trx)
      await geo.replicator(widgets).deleted(row, trx)
    })
    expect(await events()).toEqual([])
  })
})

describe('The state of verification', () => {
  const recorded = {
    verification_state: VERIFICATION_STATE.failed,
    verification_checksum: Buffer.from('01aa', 'hex'),
    verification_failure: 'broken',
    verification_retry_count: 4,
    verification_retry_at: new Date(),
  }
  const fresh = {
    verification_state: VERIFICATION_STATE.pending,
    verification_checksum: null,
    verification_failure: null,
    verification_retry_at: null,
  }

  it('gets a row when a record is created with a file, and none without', async () => {
    const geo = await site()
    const row = await addWidget(databases.main)
    const without = await addWidget(databases.main, null)
    await databases.main.transaction(async (trx) => {
      for (const created of [row, without]) await geo.replicator(widgets).created(created, trx)
    })
    expect(await states()).toEqual([expect.objectContaining({ widget_id: row.id, ...fresh })])
  })

  it('keeps a recorded checksum when created is said again', async () => {
    const geo = await site()
    const row = await addWidget(databases.main)
    await databases.main('widget_states').insert({ widget_id: row.id, ...recorded })
    await databases.main.transaction((trx) => geo.replicator(widgets).created(row, trx))
    expect(await states()).toEqual([expect.objectContaining(recorded)])
  })

  it('is reset by updated, in a table of its own', async () => {
    const geo = await site()
    const row = await addWidget(databases.main)
    await databases.main('widget_states').insert({ widget_id: row.id, ...recorded })
    await databases.main.transaction((trx) => geo.replicator(widgets).updated(row, trx))
    expect(await states()).toEqual([expect.objectContaining({ ...fresh, verification_retry_count: 0 })])
  })

  it('is reset by updated, in columns of the host', async () => {
    const geo = await site()
    const { main } = databases
    const id = await addHostRow(main, untyped(gadgets))
    const other = await addHostRow(main, untyped(gadgets))
    await main('gadgets').update(recorded)
    const row = await main('gadgets').where({ id }).first()
    await main.transaction((trx) => geo.replicator(gadgets).updated(row, trx))
    expect(await main('gadgets').where({ id }).first()).toMatchObject({ ...fresh, verification_retry_count: 0 })
    expect(await main('gadgets').where({ id: other }).first()).toMatchObject(recorded)
  })
})

describe('A transaction of another library', () => {
  /** Runs `work` in a transaction of bare `pg`, whose client is passed as it is. */
  async function inPg(work: (client: pg.Client) => Promise<void>): Promise<void> {
    const client = new pg.Client({ connectionString: databases.mainUrl })
    await client.connect()
    try {
      await client.query('begin')
      await work(client)
      await client.query('commit')
    } finally {
      await client.end()
    }
  }

  it('carries the same events and states', async () => {
    const geo = await site()
    const [kept, changed, gone] = [
      await addWidget(databases.main),
      await addWidget(databases.main),
      { id: '77', file_path: 'g' },
    ]
    await databases
      .main('widget_states')
      .insert({ widget_id: changed.id, verification_state: VERIFICATION_STATE.succeeded })
    await inPg(async (client) => {
      await geo.replicator(widgets).created(kept, client)
      await geo.replicator(widgets).updated(changed, client)
      await geo.replicator(widgets).deleted(gone as typeof kept, client)
    })
    expect(await events()).toEqual([
      { name: 'widget', event: 'created', payload: { model_record_id: kept.id } },
      { name: 'widget', event: 'updated', payload: { model_record_id: changed.id } },
      { name: 'widget', event: 'deleted', payload: { model_record_id: '77', blob_path: 'g' } },
    ])
    const pending = { verification_state: VERIFICATION_STATE.pending }
    expect(await states()).toEqual([expect.objectContaining(pending), expect.objectContaining(pending)])
  })

  it('takes them with it where it is rolled back', async () => {
    const geo = await site()
    const row = await addWidget(databases.main)
    await inPg(async (client) => {
      await geo.replicator(widgets).created(row, client)
      await client.query('rollback')
    })
    expect(await events()).toEqual([])
    expect(await states()).toEqual([])
  })

  it('that fails fails the call', async () => {
    const geo = await site()
    const row = await addWidget(databases.main)
    const broken = { query: () => Promise.reject(new Error('the connection is gone')) }
    await expect(geo.replicator(widgets).created(row, broken)).rejects.toThrow('the connection is gone')
  })

  it('gets nothing but text, which any library binds', async () => {
    const geo = await site({ features: { isEnabled: () => true } })
    const row = await addWidget(databases.main)
    const bound: unknown[] = []
    const query = async (_text: string, values: unknown[]) => void bound.push(...values)
    for (const type of [widgets, gadgets]) {
      const told = type === widgets ? row : { id: randomUUID() }
      await geo.replicator(type).created(told, { query })
      await geo.replicator(type).updated(told, { query })
      await geo.replicator(type).deleted(told, { query })
    }
    expect(bound.length).toBeGreaterThan(20)
    expect(bound.filter((value) => typeof value !== 'string')).toEqual([])
  })
})
