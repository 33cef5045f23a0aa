import createKnex, { type Knex } from 'knex'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  addVerificationColumns,
  createVerificationStateTable,
  dropVerificationColumns,
  dropVerificationStateTable,
} from '../../lib/index.ts'
import { withClient } from '../../lib/testing/postgres/database-server.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { columnsOf, constraintsOf, indexesOf } from '../support/table-shape.ts'
import { until } from '../support/until.ts'

const TEXT_LIMIT = 'gadget_verification_failure_text_limit'

let databases: SpecDatabases
let whole: Awaited<ReturnType<typeof shape>>

beforeAll(async () => {
  databases = await createSpecDatabases()
  whole = await shape(databases.main)
})
afterAll(() => databases.destroy())

beforeEach(async () => {
  await dropVerificationColumns(databases.main, 'gadget', { table: 'gadgets' })
})

async function shape(db: Knex) {
  const [columns, indexes, constraints] = await Promise.all([
    columnsOf(db, 'gadgets'),
    indexesOf(db, 'gadgets'),
    constraintsOf(db, 'gadgets'),
  ])
  return { columns, indexes, constraints }
}

const waitsFor = (table: string) => async (): Promise<boolean> => {
  const { rows } = await databases.main.raw(
    'select 1 from pg_locks where relation = ?::regclass and not granted limit 1',
    [table],
  )
  return rows.length > 0
}

/** Whether a statement of the host ends although a migration wants the table: it must, long before the holder lets go. */
async function hostWrites(table: string): Promise<void> {
  await databases.main.transaction(async (trx) => {
    await trx.raw(`set local statement_timeout = '10s'`)
    await trx(table).insert({ name: 'meanwhile' })
  })
}

describe('a migration of a table that the host uses', () => {
  it.each([
    ['addVerificationColumns', 'gadgets', () => addVerificationColumns(databases.main, 'gadget', { table: 'gadgets' })],
    [
      'dropVerificationColumns',
      'gadgets',
      () => dropVerificationColumns(databases.main, 'gadget', { table: 'gadgets' }),
    ],
    [
      'createVerificationStateTable',
      'widgets',
      () => createVerificationStateTable(databases.main, 'bead', { table: 'widgets' }),
    ],
    ['dropVerificationStateTable', 'widgets', () => dropVerificationStateTable(databases.main, 'bead')],
    [
      'createVerificationStateTable in a transaction',
      'widgets',
      () => databases.main.transaction((trx) => createVerificationStateTable(trx, 'bead', { table: 'widgets' })),
    ],
  ])('%s never queues the host’s statements behind a long transaction', async (_, table, migration) => {
    const holder = await databases.main.transaction()
    await holder(table).insert({ name: 'held' })
    let ended = false
    const migrated = migration().finally(() => {
      ended = true
    })
    try {
      for (let round = 0; round < 2; round += 1) {
        await until(waitsFor(table))
        await hostWrites(table)
      }
      expect(ended).toBe(false)
    } finally {
      await holder.commit()
      await migrated
    }
  })

  it('gives up when its patience is over, changes nothing, and says who holds the table', async () => {
    const before = await shape(databases.main)
    const holder = await databases.main.transaction()
    try {
      await holder('gadgets').insert({ name: 'held' })
      const { rows } = await holder.raw('select pg_backend_pid() as pid')
      const attempt = addVerificationColumns(databases.main, 'gadget', { table: 'gadgets', patienceMs: 1 })
      await expect(attempt).rejects.toThrow(
        new RegExp(`table gadgets was in use .*processes ${rows[0].pid} \\(for \\d+ s\\)`),
      )
    } finally {
      await holder.rollback()
    }
    expect(await shape(databases.main)).toEqual(before)
  })

  it('refuses to build indexes in a transaction, and says what to write', async () => {
    const attempt = databases.main.transaction((trx) => addVerificationColumns(trx, 'gadget', { table: 'gadgets' }))
    await expect(attempt).rejects.toThrow('export const config = { transaction: false }')
  })
})

describe('a migration that failed half-way', () => {
  it('goes on after the columns', async () => {
    const { main } = databases
    await addVerificationColumns(main, 'gadget', { table: 'gadgets' })
    await main.raw(`alter table gadgets drop constraint ${TEXT_LIMIT}`)
    await main.raw('drop index index_gadgets_pending_verification, index_gadgets_failed_verification')
    await addVerificationColumns(main, 'gadget', { table: 'gadgets' })
    expect(await shape(main)).toEqual(whole)
  })

  it('validates a constraint that it had added', async () => {
    const { main } = databases
    await addVerificationColumns(main, 'gadget', { table: 'gadgets' })
    await main.raw(`alter table gadgets drop constraint ${TEXT_LIMIT}`)
    await main.raw(
      `alter table gadgets add constraint ${TEXT_LIMIT} check (char_length(verification_failure) <= 255) not valid`,
    )
    await addVerificationColumns(main, 'gadget', { table: 'gadgets' })
    expect(await shape(main)).toEqual(whole)
  })

  it('drops and rebuilds an index that it had left invalid', async () => {
    const { main } = databases
    await addVerificationColumns(main, 'gadget', { table: 'gadgets' })
    await main.raw('drop index index_gadgets_pending_verification')
    await leaveInvalid('index_gadgets_pending_verification')
    expect((await indexesOf(main, 'gadgets'))['index_gadgets_pending_verification']).toMatch(/^invalid/)

    await addVerificationColumns(main, 'gadget', { table: 'gadgets' })

    expect(await shape(main)).toEqual(whole)
  })

  it('leaves what is whole as it is', async () => {
    const { main } = databases
    const oids = async () =>
      (
        await main.raw(
          `select array_agg(indexrelid order by 1) as oids from pg_index where indrelid = 'gadgets'::regclass`,
        )
      ).rows
    await addVerificationColumns(main, 'gadget', { table: 'gadgets' })
    const before = await oids()
    await addVerificationColumns(main, 'gadget', { table: 'gadgets' })
    expect(await oids()).toEqual(before)
  })

  it('does not stop at a time limit of the host while it builds indexes, and leaves that limit alone', async () => {
    const { main, mainUrl } = databases
    const limited = createKnex({
      client: 'pg',
      connection: `${mainUrl}?options=-cstatement_timeout=200`,
      pool: { min: 0, max: 1 },
    })
    // A build waits for every older snapshot; an ALTER does not mind them.
    const holder = await main.transaction({ isolationLevel: 'repeatable read' })
    try {
      await holder.raw('select 1')
      const migrated = addVerificationColumns(limited, 'gadget', { table: 'gadgets' })
      const waited = until(buildHasWaitedMs(400)).finally(() => holder.rollback())
      await Promise.all([migrated, waited])
      expect((await limited.raw('show statement_timeout')).rows).toEqual([{ statement_timeout: '200ms' }])
    } finally {
      await limited.destroy()
    }
    expect(await shape(main)).toEqual(whole)
  })
})

const buildHasWaitedMs = (waitMs: number) => async (): Promise<boolean> => {
  const { rows } = await databases.main.raw(
    `select 1 from pg_stat_activity where datname = current_database() and query ilike 'create index concurrently%'
     and state = 'active' and clock_timestamp() - query_start > ? * interval '1 millisecond'`,
    [waitMs],
  )
  return rows.length > 0
}

/** As a build does that is cut off while it waits for a transaction of the host. */
async function leaveInvalid(index: string): Promise<void> {
  const holder = await databases.main.transaction()
  try {
    await holder('gadgets').insert({ name: 'held' })
    await withClient(databases.mainUrl, async (client) => {
      await client.query('set statement_timeout = 300')
      await expect(client.query(`create index concurrently ${index} on gadgets (id)`)).rejects.toThrow(
        'statement timeout',
      )
    })
  } finally {
    await holder.rollback()
  }
}
