import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Knex } from 'knex'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { insertEvents } from '../../lib/event/event-log.ts'
import { type ToldWrites, toldWrites } from '../../lib/event/told.ts'
import {
  addVerificationColumns,
  createEventTriggers,
  defineReplicable,
  dropEventTriggers,
  type EventTriggerOptions,
  localDisk,
} from '../../lib/index.ts'
import { settle } from '../../lib/testing/settle.ts'
import type { Checked } from '../../lib/view/check/outcome.ts'
import { checkType } from '../../lib/view/check/type/check-type.ts'
import { untyped } from '../support/fixture-rows.ts'
import { type ServedSites, serveSites } from '../support/served-sites.ts'

let sites: ServedSites
let main: Knex

beforeAll(async () => {
  sites = await serveSites()
  main = sites.site.databases.main
})
afterAll(() => sites?.close())
afterEach(() => main('geo_status_samples').delete())

/** As if the type had been on, and its status gathered, in each of these minutes before now. */
async function wasOn(minutesAgo: readonly number[]): Promise<void> {
  const { id } = sites.primary.sites.requireMe()
  for (const minutes of minutesAgo) {
    await main.raw(
      `insert into geo_status_samples (geo_node_id, replicable_name, sampled_at)
       values (?, 'widget', date_trunc('minute', now()) - ? * interval '1 minute')`,
      [id, minutes],
    )
  }
}
const HALF_AN_HOUR = Array.from({ length: 30 }, (_, minutes) => minutes)

/** The answers about new files and about rows that go. */
async function answers(): Promise<(Checked | undefined)[]> {
  const results: Checked[] = []
  for await (const checked of checkType(sites.primary, 'widget')) results.push(checked)
  return ['new files', 'rows of widgets that go'].map((text) => results.find(({ name }) => name.includes(text)))
}

const replicator = () => sites.primaryGeo.replicator(untyped(sites.site.widgets))

/** A host that forgets to call `created`. Returns the key. */
async function addUntold(name: string): Promise<string> {
  await writeFile(join(sites.primaryRoot, name), name)
  const [row] = await main('widgets').insert({ name, file_path: name }).returning('id')
  return String(row.id)
}

/** The next pass over the rows, a minute later, and all that it finds to hash. */
async function pass(): Promise<void> {
  sites.site.clock.advance(61_000)
  await settle(sites.primary, ['backfill-states', 'verify-primary'])
}

async function removeToldly(id: string): Promise<void> {
  await main.transaction(async (trx) => {
    const [row] = await trx('widgets').where({ id }).delete().returning('*')
    await replicator().deleted(row, trx)
  })
}

describe('What the host tells of', () => {
  it('is not known where nobody has gathered a status', async () => {
    expect(await answers()).toMatchObject([
      { answer: 'skipped', reason: expect.stringContaining('gathers a status') },
      { answer: 'skipped' },
    ])
  })

  it('a host that has written nothing, and one that tells of all', async () => {
    await wasOn(HALF_AN_HOUR)
    expect(await answers()).toMatchObject([{ answer: 'skipped' }, { answer: 'yes' }])
    const id = await sites.addWidget('told', 'bytes')
    expect(await answers()).toMatchObject([
      { answer: 'yes', detail: expect.stringMatching(/^1 told of since/) },
      { answer: 'yes' },
    ])
    await removeToldly(id)
    expect(await answers()).toMatchObject([{ answer: 'yes' }, { answer: 'yes' }])
  })

  it('a host that forgets `created`, until it tells of the row', async () => {
    await wasOn(HALF_AN_HOUR)
    const id = await addUntold('untold')
    await pass()
    expect(await answers()).toMatchObject([
      {
        answer: 'no',
        reason: expect.stringMatching(new RegExp(`^1 rows were written since .* among them #${id}$`)),
        advice: [expect.stringContaining('geo.replicator(widgets).created(row, trx)'), expect.anything()],
      },
      { answer: 'yes' },
    ])
    await main.transaction(async (trx) => replicator().updated(await trx('widgets').where({ id }).first(), trx))
    expect(await answers()).toMatchObject([{ answer: 'yes' }, { answer: 'yes' }])
    await removeToldly(id)
  })

  it('a host that forgets `deleted`', async () => {
    await wasOn(HALF_AN_HOUR)
    const id = await sites.addWidget('going', 'bytes')
    await main('widgets').where({ id }).delete()
    expect(await answers()).toMatchObject([
      { answer: 'yes' },
      {
        answer: 'no',
        reason: expect.stringMatching(new RegExp(`^1 rows have gone .* among them #${id}$`)),
        advice: [expect.stringContaining('.deleted(row, trx)'), expect.anything()],
      },
    ])
    await insertEvents(main, 'widget', 'deleted', [{ recordId: id }])
  })

  it('is asked for since the last time that the type was off', async () => {
    await wasOn([0, 1, 40, 41])
    await main.raw("update geo_events set created_at = now() - interval '30 minutes'")
    expect(await answers()).toMatchObject([{ answer: 'skipped' }, { answer: 'yes', detail: null }])
  })
})

describe('What is no fault of the host', () => {
  const told = (since: Date): Promise<ToldWrites> => toldWrites(main, untyped(sites.site.widgets), since.toISOString())
  async function now(): Promise<Date> {
    const { rows } = await main.raw('select clock_timestamp() as now')
    return rows[0].now
  }

  it('a row that was written before the flag came on, and is found by the first pass', async () => {
    await addUntold('before')
    const since = await now()
    await pass()
    expect(await told(since)).toMatchObject({ told: 0, untold: [], gone: [] })
  })

  it('a row that was told of before, and changes in other columns', async () => {
    const id = await addUntold('backfilled')
    const since = await now()
    await pass()
    await main('widgets').where({ id }).update({ name: 'renamed' })
    expect(await told(since)).toMatchObject({ untold: [], gone: [] })
  })

  it('a row that was told of before, and is hashed again', async () => {
    const id = await sites.addWidget('rehashed', 'bytes')
    const since = await now()
    await main('widgets').where({ id }).update({ name: 'renamed' })
    await main('widget_states').where({ widget_id: id }).update({ verification_state: 0 })
    await settle(sites.primary, ['verify-primary'])
    expect(await told(since)).toMatchObject({ untold: [], gone: [] })
  })
})

it('Where checksums lie in the rows, a key above one that was told says that a row is new', async () => {
  await main.schema.createTable('gizmos', (table) => {
    table.bigIncrements('id')
    table.text('file_path')
  })
  await addVerificationColumns(main, 'gizmo', { table: 'gizmos' })
  await main('gizmos').insert([{ file_path: 'a' }, { file_path: 'b' }, { file_path: 'c' }])
  const gizmos = defineReplicable<{ file_path: string }>({
    name: 'gizmo',
    table: 'gizmos',
    verificationState: 'columns',
    store: localDisk({ root: sites.primaryRoot }),
    blob: (row) => row.file_path,
  })
  await insertEvents(main, 'gizmo', 'created', [{ recordId: '2' }])
  await insertEvents(main, 'gizmo', 'checksum_succeeded', [{ recordId: '1' }, { recordId: '2' }, { recordId: '3' }])
  const writes = await toldWrites(main, untyped(gizmos), '2000-01-01T00:00:00Z')
  expect(writes).toMatchObject({ told: 1, untold: ['3'], gone: [] })
})

describe('The triggers', () => {
  async function answer(): Promise<Checked | undefined> {
    for await (const checked of checkType(sites.primary, 'widget'))
      if (checked.name.startsWith('Triggers')) return checked
    return undefined
  }
  const options: EventTriggerOptions = {
    table: 'widgets',
    columns: ['file_path'],
    blobColumn: 'file_path',
    verificationState: 'separate',
  }
  afterEach(() => dropEventTriggers(main, 'widget', { table: 'widgets' }))

  it('are an offer', async () => {
    expect(await answer()).toMatchObject({ answer: 'skipped', reason: expect.stringContaining('There are none') })
  })

  it('know the flag once a process of the primary has written it down', async () => {
    await createEventTriggers(main, 'widget', options)
    expect(await answer()).toMatchObject({ answer: 'no', reason: 'They take the flag to be off' })
    await settle(sites.primary, ['switches'])
    expect(await answer()).toMatchObject({ answer: 'yes' })
  })

  it.each([
    ['alter table widgets disable trigger geo_widget_deleted', 'geo_widget_deleted is disabled'],
    ['drop trigger geo_widget_created on widgets', 'geo_widget_created is missing'],
  ])('that do not all fire are a no: %s', async (sql, reason) => {
    await createEventTriggers(main, 'widget', options)
    await main.raw(sql)
    expect(await answer()).toMatchObject({ answer: 'no', reason })
  })
})
