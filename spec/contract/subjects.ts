import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import type { ConformanceOptions, InsertRow, TestDatabases } from '../../lib/testing/index.ts'
import { createSpecDatabases } from '../support/databases.ts'

const { widgets, gadgets } = declareReplicables('unused')

const insertInto =
  (table: 'widgets' | 'gadgets'): InsertRow =>
  async (db, { blobKey, owner }) => {
    const [row] = await db(table)
      .insert({ name: `made ${blobKey}`, file_path: blobKey, owner })
      .returning('id')
    return String(row.id)
  }

/** The secondary reads a streaming standby, as in production. */
async function databases(): Promise<TestDatabases> {
  const { main, standby: replica, tracking, destroy } = await createSpecDatabases()
  return { main, replica, tracking, destroy }
}

const selectOwner: ConformanceOptions['selectOwner'] = (owner) => ({
  type: 'namespaces',
  namespaceIds: [owner],
  shards: [],
})

/** The types of the fixture host as `conformance` takes them. */
export const WIDGETS: ConformanceOptions = {
  replicable: widgets,
  insertRow: insertInto('widgets'),
  databases,
  selectOwner,
  keywordOf: (row) => String(row['name']),
}
export const GADGETS: ConformanceOptions = {
  replicable: gadgets,
  insertRow: insertInto('gadgets'),
  databases,
  selectOwner,
}
