import { after, before, beforeEach, describe, it } from 'node:test'
import knexfile from '../../fixtures/widget-app/knexfile.js'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { conformance } from '../../lib/testing/index.ts'

conformance(
  { describe, it, beforeEach, beforeAll: before, afterAll: after },
  {
    replicable: declareReplicables('unused').widgets,
    databases: knexfile,
    insertRow: async (db, { blobKey, owner }) => {
      const values = { name: 'made', file_path: blobKey, owner }
      const [row] = await db('widgets').insert(values).returning('id')
      return String(row.id)
    },
    suites: ['a verifiable model', 'the status of a Geo site'],
  },
)
