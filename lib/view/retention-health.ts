import type { Knex } from 'knex'
import { firstEventAgeMs } from '../event/prune.ts'
import { type Finding, finding } from './finding.ts'

const HOUR_MS = 3_600_000

/** Whether the primary keeps events for longer than it is told to, by an hour: what is deleted next is no finding. */
export async function checkRetention(main: Knex, retentionMs: number): Promise<Finding[]> {
  const ageMs = await firstEventAgeMs(main)
  if (ageMs === null || ageMs <= retentionMs + HOUR_MS) return []
  const hours = Math.floor(ageMs / HOUR_MS)
  const message = `Events of the last ${hours} hours are kept, longer than \`eventRetentionMs\` says`
  return [finding('EVENTS_KEPT', message)]
}
