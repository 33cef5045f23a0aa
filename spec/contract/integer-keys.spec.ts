import type { Knex } from 'knex'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { loadKnownBlob } from '../../lib/blob/known-blob.ts'
import { namedKeys } from '../../lib/blob/named-keys.ts'
import { loadPrimaryChecksums } from '../../lib/blob/primary-checksum.ts'
import { loadSource, pageOfKeys } from '../../lib/blob/source.ts'
import { endOfPage, pageOfSource, summaryOfSource } from '../../lib/blob/source-page.ts'
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

  describe('in each statement that reads rows of the host', () => {
    const two = ['9998', '9999']
    const range = { after: '9990', upTo: '9995' }
    let found: TestDatabases
    beforeAll(async () => {
      found = await databases()
      await found.main.raw(`insert into ${table} (path) select 'a file' from generate_series(1, 20000)`)
      await found.main.raw(`analyze ${table}`)
    })
    afterAll(() => found.destroy())

    it.each<[string, (db: Knex) => Promise<unknown>]>([
      ['some', (db) => loadSource(db, replicable, two)],
      ['one with its checksum', (db) => loadKnownBlob(db, replicable, '9999')],
      ['checksums', (db) => loadPrimaryChecksums(db, replicable, two)],
      ['a page of keys', (db) => pageOfKeys(db, replicable, '9990', 5)],
      ['the end of a page', (db) => endOfPage(db, replicable, '9990', 5, null)],
      ['the number of a page', (db) => summaryOfSource(db, replicable, range, null)],
      ['a page', (db) => pageOfSource(db, replicable, range, null)],
      ['a page of named files', (db) => namedKeys(db, replicable, '9990', 5, null)],
    ])('is found by the index: %s', async (_, work) => {
      const plans = await explained(found.main, name, work)
      expect(plans).toMatch(/ using \w+_pkey|on \w+_pkey/)
      expect(plans).not.toContain('Seq Scan')
      expect(plans).not.toContain('Rows Removed')
    })
  })
})
