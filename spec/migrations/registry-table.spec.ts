import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRegistryTable, dropRegistryTable } from '../../lib/index.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { columnsOf, indexesOf } from '../support/table-shape.ts'

const columnsWith = (table: string, foreignKey: string): string[] => [
  `id bigint not null default nextval('${table}_id_seq'::regclass)`,
  `${foreignKey} not null`,
  'created_at timestamp with time zone not null',
  'last_synced_at timestamp with time zone',
  'retry_at timestamp with time zone',
  'verified_at timestamp with time zone',
  'verification_started_at timestamp with time zone',
  'verification_retry_at timestamp with time zone',
  'state smallint not null default 0',
  'verification_state smallint not null default 0',
  'retry_count smallint not null default 0',
  'verification_retry_count smallint not null default 0',
  'checksum_mismatch boolean not null default false',
  'verification_checksum bytea',
  'verification_checksum_mismatched bytea',
  'verification_failure character varying(255)',
  'last_sync_failure character varying(255)',
]
const OWN_COLUMNS = [
  'blob_key text',
  'bytes bigint',
  'error_code character varying(64)',
  'lease_id bigint',
  'worker_losses smallint not null default 0',
  'removal_requested_at timestamp with time zone',
  'removal_retry_at timestamp with time zone',
  'superseded_keys text[]',
  'backfill boolean not null default false',
  'row_version bigint',
  'announced_at timestamp with time zone',
  'traceparent text',
]

const WIDGET_INDEXES = {
  index_widget_registry_on_widget_id: 'unique btree (widget_id)',
  index_widget_registry_on_retry_at: 'btree (retry_at)',
  index_widget_registry_on_state: 'btree (state)',
  widget_registry_failed_verification:
    'btree (verification_retry_at NULLS FIRST) WHERE ((state = 2) AND (verification_state = 3))',
  widget_registry_needs_verification:
    'btree (verification_state) WHERE ((state = 2) AND (verification_state = ANY (ARRAY[0, 3])))',
  widget_registry_pending_verification:
    'btree (verified_at NULLS FIRST) WHERE ((state = 2) AND (verification_state = 0))',
  widget_registry_reverification: 'btree (verified_at) WHERE ((state = 2) AND (verification_state = 2))',
  widget_registry_pending_sync: 'btree (id) WHERE ((state = 0) AND (NOT backfill) AND (removal_requested_at IS NULL))',
  widget_registry_backfill_sync: 'btree (id) WHERE ((state = 0) AND backfill AND (removal_requested_at IS NULL))',
  widget_registry_failed_sync: 'btree (retry_at NULLS FIRST) WHERE ((state = 3) AND (removal_requested_at IS NULL))',
  widget_registry_started_verification: 'btree (verification_started_at) WHERE (verification_state = 1)',
  widget_registry_unchecked: 'btree (id) WHERE ((state = 2) AND (verification_state = 4))',
  widget_registry_removal: 'btree (id) WHERE ((removal_requested_at IS NOT NULL) OR (superseded_keys IS NOT NULL))',
  widget_registry_blob_key: 'hash (blob_key)',
}

describe('the registry of a type', () => {
  let databases: SpecDatabases

  beforeAll(async () => {
    databases = await createSpecDatabases()
  })
  afterAll(() => databases.destroy())

  it.each([
    ['widget_registry', 'widget_id bigint'],
    ['gadget_registry', 'gadget_id uuid'],
  ])(
    '%s has the seventeen known columns in their order, the host’s key as %s, and ours after them',
    async (table, key) => {
      expect(await columnsOf(databases.tracking, table)).toEqual([...columnsWith(table, key), ...OWN_COLUMNS])
    },
  )

  it('has the six known indexes and those for our own queries', async () => {
    expect(await indexesOf(databases.tracking, 'widget_registry')).toEqual(WIDGET_INDEXES)
  })

  it('holds one row per record', async () => {
    const row = { widget_id: '1', created_at: new Date() }
    await databases.tracking('widget_registry').insert(row)
    await expect(databases.tracking('widget_registry').insert(row)).rejects.toMatchObject({
      constraint: 'index_widget_registry_on_widget_id',
    })
  })

  it('is created again without effect, is completed where an index is missing, and goes in one call', async () => {
    const { tracking } = databases
    await createRegistryTable(tracking, 'trinket')
    await tracking('trinket_registry').insert({ trinket_id: '9', created_at: new Date() })
    const before = await indexesOf(tracking, 'trinket_registry')
    await tracking.raw('drop index trinket_registry_failed_sync')

    await createRegistryTable(tracking, 'trinket')

    expect(await indexesOf(tracking, 'trinket_registry')).toEqual(before)
    expect(await tracking('trinket_registry')).toHaveLength(1)
    await dropRegistryTable(tracking, 'trinket')
    await dropRegistryTable(tracking, 'trinket')
    expect(await tracking.schema.hasTable('trinket_registry')).toBe(false)
  })

  it('leaves nothing behind where its creation fails half-way', async () => {
    const { tracking } = databases
    await tracking.raw('create table squatter (id bigint)')
    await tracking.raw('create index bauble_registry_blob_key on squatter (id)')

    await expect(createRegistryTable(tracking, 'bauble')).rejects.toThrow('"bauble_registry_blob_key" already exists')

    expect(await tracking.schema.hasTable('bauble_registry')).toBe(false)
  })

  it.each([
    ['Widget', {}],
    ['a"; drop table widget_registry; --', {}],
    ['a'.repeat(21), {}],
    ['bead', { keyType: 'text); drop table widget_registry; --' as 'uuid' }],
  ])('refuses the name %j with %j before any statement', async (name, options) => {
    await expect(createRegistryTable(databases.tracking, name, options)).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
    })
    expect(await databases.tracking.schema.hasTable('widget_registry')).toBe(true)
  })
})
