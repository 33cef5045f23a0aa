import type { Knex } from 'knex'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { loadPrimaryChecksums } from '../../lib/blob/primary-checksum.ts'
import { loadSource, pageOfKeys } from '../../lib/blob/source.ts'
import {
  addVerificationColumns,
  createRegistryTable,
  createVerificationStateTable,
  defineReplicable,
  localDisk,
} from '../../lib/index.ts'
import { conformance, type TestDatabases } from '../../lib/testing/index.ts'
import { createSpecDatabases } from '../support/databases.ts'
import { explained } from '../support/explained.ts'

/** What `increments()` of Knex makes, and the shorter one. */
const KEYS = [
  { name: 'int_note', column: 'serial', verificationState: 'separate' },
  { name: 'small_slide', column: 'smallserial', verificationState: 'columns' },
] as const

describe.each(KEYS)('a type whose key is a $column, its checksums $verificationState', (key) => {
  const { name, column, verificationState } = key
  const table = `${name}s`
  const replicable = defineReplicable<{ path: string }>({
    name,
    table,
    verificationState,
    store: localDisk({ root: 'unused' }),
    blob: (row) => row.path,
    available: (query) => query.whereNotNull('path'),
  })

  async function databases(): Promise<TestDatabases> {
    const { main, standby: replica, tracking, caughtUp, destroy } = await createSpecDatabases()
    await main.raw(`create table ${table} (id ${column} primary key, path text)`)
    await createState(main)
    await createRegistryTable(tracking, name)
    await caughtUp()
    return { main, replica, tracking, destroy }
  }
  const createState = (main: Knex): Promise<void> =>
    verificationState === 'separate'
      ? createVerificationStateTable(main, name, { table })
      : addVerificationColumns(main, name, { table })

  conformance(
    { describe, it, beforeEach, beforeAll, afterAll },
    {
      replicable,
      databases,
      insertRow: async (db, { blobKey }) => {
        const [row] = await db(table).insert({ path: blobKey }).returning('id')
        return String(row.id)
      },
    },
  )

  it('is found by the index', async () => {
    const { main, destroy } = await databases()
    await main.raw(`insert into ${table} (path) select 'a file' from generate_series(1, 20000)`)
    await main.raw(`analyze ${table}`)
    const plans = await explained(main, table, async (db) => {
      await loadSource(db, replicable, ['19998', '19999'])
      await loadPrimaryChecksums(db, replicable, ['19998', '19999'])
      await pageOfKeys(db, replicable, '19990', 5)
    })
    await destroy()
    expect(plans).toContain(`${table}_pkey`)
    expect(plans).not.toContain('Seq Scan')
  })
})
