import type { BulkAction, BulkFilter } from './request.ts'

/**
 * A bulk run:
 * - waiting: stored, its first page not done yet.
 * - running: walked page by page, up to the highest key that there was at its start.
 * - finished: every row up to there has been looked at.
 * - cancelled: nothing more is done; what earlier pages did stays.
 */
export type BulkRunState = 'waiting' | 'running' | 'finished' | 'cancelled'

/** A bulk run and how far it is. */
export interface BulkRun {
  readonly id: string
  readonly action: BulkAction
  /** The name of the type. */
  readonly type: string
  readonly filter: BulkFilter
  readonly dryRun: boolean
  readonly requestedBy: string | null
  readonly state: BulkRunState
  /** Rows looked at so far. */
  readonly examined: number
  /** Rows changed so far; in a dry run, rows that would have been. */
  readonly changed: number
  /** From 0 to 1, by the range of keys. */
  readonly doneFraction: number
  readonly createdAt: Date
  readonly startedAt: Date | null
  readonly finishedAt: Date | null
  readonly cancelledAt: Date | null
  /** Why the last page that failed did; it was tried again since, or will be. */
  readonly failure: { readonly message: string; readonly at: Date } | null
}

/** A row of geo_bulk_runs. Keys are texts: a registry's id, or the key of a primary's record. */
export interface BulkRunRow {
  id: string
  action: BulkAction
  replicable_name: string
  filter: BulkFilter
  dry_run: boolean
  requested_by: string | null
  created_at: Date
  started_at: Date | null
  finished_at: Date | null
  cancelled_at: Date | null
  first_key: string | null
  last_key: string | null
  after_key: string | null
  walked: boolean
  left_over: string[]
  page_size: number
  examined: string
  changed: string
  failed_at: Date | null
  failure: string | null
}

export function toBulkRun(row: BulkRunRow): BulkRun {
  return Object.freeze({
    id: String(row.id),
    action: row.action,
    type: row.replicable_name,
    filter: row.filter,
    dryRun: row.dry_run,
    requestedBy: row.requested_by,
    state: stateOf(row),
    examined: Number(row.examined),
    changed: Number(row.changed),
    doneFraction: doneFraction(row),
    createdAt: row.created_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
    cancelledAt: row.cancelled_at,
    failure: row.failed_at && { message: row.failure ?? '', at: row.failed_at },
  })
}

function stateOf({ finished_at, cancelled_at, started_at }: BulkRunRow): BulkRunState {
  if (cancelled_at) return 'cancelled'
  if (finished_at) return 'finished'
  return started_at ? 'running' : 'waiting'
}

const PARTS = 1_000_000n

function doneFraction({ finished_at, walked, first_key, last_key, after_key }: BulkRunRow): number {
  if (finished_at || walked) return 1
  if (first_key === null || last_key === null || after_key === null) return 0
  const [first, last, after] = [first_key, last_key, after_key].map(position) as [bigint, bigint, bigint]
  return last === first ? 1 : Number(((after - first) * PARTS) / (last - first)) / Number(PARTS)
}

/** Where a key lies among all keys of its type: a uuid is a number of 128 bits. */
function position(key: string): bigint {
  return /^-?\d+$/.test(key) ? BigInt(key) : BigInt(`0x${key.replaceAll('-', '')}`)
}
