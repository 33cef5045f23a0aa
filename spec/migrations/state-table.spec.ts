import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  addVerificationColumns,
  createVerificationStateTable,
  dropVerificationColumns,
  dropVerificationStateTable,
} from '../../lib/index.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { columnsOf, constraintsOf, indexesOf } from '../support/table-shape.ts'

const VERIFICATION_COLUMNS = [
  'verification_state smallint not null default 0',
  'verification_started_at timestamp with time zone',
  'verification_retry_at timestamp with time zone',
  'verified_at timestamp with time zone',
  'verification_retry_count smallint',
  'verification_checksum bytea',
  'verification_failure text',
]
const TEXT_LIMIT = 'CHECK ((char_length(verification_failure) <= 255))'

const indexesFor = (table: string): Record<string, string> => ({
  [`index_${table}_on_verification_state`]:
    'btree (verification_state, verification_started_at) WHERE (verification_state = ANY (ARRAY[1, 4]))',
  [`index_${table}_pending_verification`]: 'btree (verified_at NULLS FIRST) WHERE (verification_state = 0)',
  [`index_${table}_failed_verification`]: 'btree (verification_retry_at NULLS FIRST) WHERE (verification_state = 3)',
  [`index_${table}_reverification`]: 'btree (verified_at) WHERE (verification_state = 2)',
})

let databases: SpecDatabases

beforeAll(async () => {
  databases = await createSpecDatabases()
})
afterAll(() => databases.destroy())

describe('the verification state of the primary in a table of its own', () => {
  it('has the key of the host’s row, the seven columns, the text limit and the indexes', async () => {
    expect(await columnsOf(databases.main, 'widget_states')).toEqual([
      'widget_id bigint not null',
      ...VERIFICATION_COLUMNS,
    ])
    expect(await constraintsOf(databases.main, 'widget_states')).toEqual({
      widget_states_pkey: 'PRIMARY KEY (widget_id)',
      widget_states_widget_id_fkey: 'FOREIGN KEY (widget_id) REFERENCES widgets(id) ON DELETE CASCADE',
      widget_verification_failure_text_limit: TEXT_LIMIT,
    })
    expect(await indexesOf(databases.main, 'widget_states')).toEqual(indexesFor('widget_states'))
  })

  it('leaves room on its pages for what a row is next', async () => {
    const { options } = await databases
      .main('pg_class')
      .where('relname', 'widget_states')
      .first('reloptions as options')
    expect(options).toEqual(['fillfactor=70'])
  })

  it('goes with the host’s row, and belongs to one', async () => {
    const { main } = databases
    const [widget] = await main('widgets').insert({ name: 'w' }).returning('id')
    await main('widget_states').insert({ widget_id: widget.id })
    await main('widgets').where('id', widget.id).delete()
    expect(await main('widget_states').where('widget_id', widget.id)).toHaveLength(0)
    await expect(main('widget_states').insert({ widget_id: widget.id })).rejects.toMatchObject({ code: '23503' })
  })

  it('is created again without effect, in another schema, beside another key, under another name', async () => {
    const { main } = databases
    await main.raw('create schema "App"')
    await main.raw('create table "App"."Trinkets" ("Key" uuid primary key)')
    const options = {
      table: 'App.Trinkets',
      keyType: 'uuid',
      keyColumn: 'Key',
      stateTable: 'App.trinket_checks',
    } as const
    await createVerificationStateTable(main, 'trinket', options)
    await createVerificationStateTable(main, 'trinket', options)

    expect(await columnsOf(main, '"App".trinket_checks')).toEqual(['trinket_id uuid not null', ...VERIFICATION_COLUMNS])
    expect(Object.values(await constraintsOf(main, '"App".trinket_checks'))).toContain(
      'FOREIGN KEY (trinket_id) REFERENCES "App"."Trinkets"("Key") ON DELETE CASCADE',
    )
    expect(await indexesOf(main, '"App".trinket_checks')).toEqual(indexesFor('trinket_checks'))

    await dropVerificationStateTable(main, 'trinket', { stateTable: 'App.trinket_checks' })
    await dropVerificationStateTable(main, 'trinket', { stateTable: 'App.trinket_checks' })
    expect(await main.schema.withSchema('App').hasTable('trinket_checks')).toBe(false)
  })

  it('has indexes of its own also where the table’s name leaves no room for theirs', async () => {
    const { main } = databases
    const stateTables = ['x', 'y'].map(
      (end) => `${'checks_of_the_museum_of_glass_beads_of_the_nation_'}${end.repeat(13)}`,
    )
    for (const stateTable of stateTables) {
      await createVerificationStateTable(main, 'bead', { table: 'widgets', stateTable })
      expect(Object.values(await indexesOf(main, stateTable)).sort()).toEqual(Object.values(indexesFor('t')).sort())
      await createVerificationStateTable(main, 'bead', { table: 'widgets', stateTable })
    }
    for (const stateTable of stateTables) await dropVerificationStateTable(main, 'bead', { stateTable })
  })

  it('leaves the host’s own settings as they were in its migration’s transaction', async () => {
    const settings = await databases.main.transaction(async (trx) => {
      await trx.raw(`set local lock_timeout = '7s'`)
      await createVerificationStateTable(trx, 'pearl', { table: 'widgets' })
      await dropVerificationStateTable(trx, 'pearl')
      const { rows } = await trx.raw(
        `select current_setting('lock_timeout') as lock, current_setting('statement_timeout') as statement`,
      )
      return rows[0]
    })
    expect(settings).toEqual({ lock: '7s', statement: '0' })
  })

  it.each([
    ['name', 'Widget', {}],
    ['table', 'widget', { table: 'widgets (id); drop table gadgets; --' }],
    ['table', 'widget', { table: 'a.b.c' }],
    ['keyColumn', 'widget', { keyColumn: 'id")' }],
    ['keyType', 'widget', { keyType: 'int' as 'uuid' }],
    ['stateTable', 'widget', { stateTable: '' }],
  ])('refuses a wrong %s before any statement', async (word, name, options) => {
    const attempt = createVerificationStateTable(databases.main, name, { table: 'widgets', ...options })
    await expect(attempt).rejects.toMatchObject({ code: 'INVALID_OPTIONS', message: expect.stringContaining(word) })
  })
})

describe('the verification state of the primary in columns of the host’s table', () => {
  it('has the seven columns after the host’s, the validated text limit and the indexes', async () => {
    const { main } = databases
    expect((await columnsOf(main, 'gadgets')).slice(-7)).toEqual(VERIFICATION_COLUMNS)
    expect(await constraintsOf(main, 'gadgets')).toEqual({
      gadgets_pkey: 'PRIMARY KEY (id)',
      // Without NOT VALID at its end.
      gadget_verification_failure_text_limit: TEXT_LIMIT,
    })
    expect(await indexesOf(main, 'gadgets')).toEqual(indexesFor('gadgets'))
  })

  it.each(['widget_states', 'gadgets'])('takes a failure of 255 characters and none of 256 on %s', async (table) => {
    const { main } = databases
    const [widget] = await main('widgets').insert({ name: 'w' }).returning('id')
    const row = table === 'gadgets' ? { name: 'g' } : { widget_id: widget.id }
    await main(table).insert({ ...row, verification_failure: 'é'.repeat(255) })
    await expect(main(table).update({ verification_failure: 'é'.repeat(256) })).rejects.toMatchObject({ code: '23514' })
  })

  it('goes again without a trace', async () => {
    const { main } = databases
    await main.raw('create table charms (like gadgets including all)')
    await dropVerificationColumns(main, 'charm', { table: 'charms' })
    await dropVerificationColumns(main, 'charm', { table: 'charms' })
    expect((await columnsOf(main, 'charms')).filter((column) => column.startsWith('verifi'))).toEqual([])
    expect(await indexesOf(main, 'charms')).toEqual({})
    expect(Object.keys(await constraintsOf(main, 'charms'))).toEqual(['charms_pkey'])
  })

  it('is refused where the host has a column of such a name itself, and that column stays', async () => {
    const { main } = databases
    await main.schema.createTable('members', (table) => {
      table.bigIncrements('id')
      table.timestamp('verified_at')
    })
    const before = await columnsOf(main, 'members')
    const attempt = addVerificationColumns(main, 'member', { table: 'members' })
    await expect(attempt).rejects.toThrow('columns of its own named verified_at; use a separate table')
    expect(await columnsOf(main, 'members')).toEqual(before)
  })

  it('is refused to a second type on the same table', async () => {
    const attempt = addVerificationColumns(databases.main, 'cover', { table: 'gadgets' })
    await expect(attempt).rejects.toThrow('gadgets holds the verification state of another type')
  })
})
