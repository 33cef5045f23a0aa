import { randomBytes } from 'node:crypto'
import { inject } from 'vitest'
import { createDatabase, databaseUrl, dropDatabase } from '../../lib/testing/postgres/database-server.ts'

/** A database without a single table on the spec run's primary server. */
export async function createEmptyDatabase(): Promise<{ url: string; drop(): Promise<void> }> {
  const { primaryUrl } = inject('databaseServers')
  const name = `geo_empty_${randomBytes(6).toString('hex')}`
  await createDatabase(primaryUrl, name)
  return { url: databaseUrl(primaryUrl, name), drop: () => dropDatabase(primaryUrl, name) }
}
