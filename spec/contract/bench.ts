import type { Knex } from 'knex'
import { afterAll, beforeAll } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import type { Replicable } from '../../lib/blob/replicable.ts'
import { type Bench, type BenchOptions, openBench } from '../../lib/testing/bench.ts'
import type { InsertRow } from '../../lib/testing/factories.ts'
import type { Subject } from '../../lib/testing/subject.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'

const insertInto =
  (table: 'widgets' | 'gadgets'): InsertRow =>
  async (db: Knex, { blobKey, owner }) => {
    const [row] = await db(table)
      .insert({ name: `made ${blobKey}`, file_path: blobKey, owner })
      .returning('id')
    return String(row.id)
  }

/** A type of the fixture host as the suites take it, on a bench that is open while the file runs. */
export function subjectOf(table: 'widgets' | 'gadgets', secondary: BenchOptions['secondary'] = {}): Subject {
  const replicable = declareReplicables('unused')[table] as unknown as Replicable<never>
  let databases: SpecDatabases
  let bench: Bench

  beforeAll(async () => {
    databases = await createSpecDatabases()
    bench = await openBench({
      replicable,
      mainDb: databases.main,
      replicaDb: databases.standby,
      trackingDb: databases.tracking,
      insertRow: insertInto(table),
      secondary,
    })
  })
  afterAll(async () => {
    await bench.close()
    await databases.destroy()
  })

  return {
    replicable,
    bench: () => bench,
    selectOwner: (owner) => ({ type: 'namespaces', namespaceIds: [owner], shards: [] }),
    ...(replicable.search && { keywordOf: (row) => String(row['name']) }),
  }
}
