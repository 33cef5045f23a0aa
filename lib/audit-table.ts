import type { Knex } from 'knex'
import { run } from './databases.ts'
import { isoTime } from './iso-time.ts'

/**
 * The door to geo_audit_events: the changes that people asked for, in the database that the site writes. Rows are only added,
 * told how it ended, and forgotten after a year.
 */

const KEPT_DAYS = 365

export const AUDIT_ACTIONS = Object.freeze([
  'site.add',
  'site.update',
  'site.remove',
  'site.read_only',
  'site.promote',
  'registry.resync',
  'registry.reverify',
  'bulk.start',
  'bulk.cancel',
] as const)
export type AuditAction = (typeof AUDIT_ACTIONS)[number]

/** A change as somebody asks for it. */
export interface AskedChange {
  /** In the words of the host; null: nobody in particular. */
  readonly operator: string | null
  readonly ip: string | null
  /** The name of the site that is changed. */
  readonly site: string
  readonly action: AuditAction
  /** What of the site, as people name it: `widget #42`, `paris`. */
  readonly subject: string | null
  /** What was asked for. Never a secret. */
  readonly details: Readonly<Record<string, unknown>>
}

export interface AuditEntry extends AskedChange {
  readonly id: string
  /** ISO 8601. */
  readonly at: string
  /** `asked`, `done`, or the code of what went wrong. One that stays `asked`: the process died over it. */
  readonly outcome: string
}

/** Notes that it is asked, and returns the id of the entry. Those that are too old go at this occasion. */
export async function insertAsked(db: Knex, asked: AskedChange): Promise<string> {
  const { rows } = await run<{ rows: { id: string }[] }>(
    db,
    `with pruned as (delete from geo_audit_events where created_at < now() - ? * interval '1 day')
     insert into geo_audit_events (operator, ip, site, action, subject, details, outcome)
     values (?, ?, ?, ?, ?, ?::jsonb, 'asked') returning id::text as id`,
    [KEPT_DAYS, asked.operator, asked.ip, asked.site, asked.action, asked.subject, JSON.stringify(asked.details)],
  )
  return (rows[0] as { id: string }).id
}

export async function noteOutcome(db: Knex, id: string, outcome: string): Promise<void> {
  await run(db, 'update geo_audit_events set outcome = ? where id = ?', [outcome, id])
}

/** The newest first, those before the given id. */
export async function listEntries(db: Knex, before: string | null, limit: number): Promise<AuditEntry[]> {
  const { rows } = await run<{ rows: AuditEntry[] }>(
    db,
    `select id::text as id, ${isoTime('created_at')} as "at", operator, ip, site,
       action, subject, details, outcome
     from geo_audit_events e where e.id < coalesce(?::bigint, 9223372036854775807) order by e.id desc limit ?`,
    [before, limit],
  )
  return rows
}
