import type { Knex } from 'knex'
import { cursorCreatedAt, wasPromoted } from '../event/cursor.ts'
import type { Site } from '../site-table.ts'
import { type Finding, finding } from './finding.ts'

/** The two moments are of the clocks of two databases. */
const TOLERANCE_S = 300

/**
 * A secondary without a tracking database, or with one that followed the log before the site was there (GB.K.1), or before it was the
 * primary.
 */
export async function checkTracking(tracking: Knex | null, me: Site): Promise<Finding[]> {
  if (!tracking) return [finding('TRACKING_DATABASE_MISSING', `"${me.name}" is a secondary without trackingDb`)]
  if (await wasPromoted(tracking, me.name)) {
    const message = `The tracking database is from before "${me.name}" was the primary: its registries may be wrong`
    return [finding('TRACKING_DATABASE_REUSED', message)]
  }
  const createdAt = await cursorCreatedAt(tracking, me.name)
  if (createdAt === null || createdAt >= me.createdAtSeconds - TOLERANCE_S) return []
  const [followed, added] = [createdAt, me.createdAtSeconds].map((seconds) => new Date(seconds * 1000).toISOString())
  const message = `The tracking database has followed the events since ${followed}, before this site was added at ${added}`
  return [finding('TRACKING_DATABASE_REUSED', message)]
}
