import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { bounded } from '../databases.ts'
import { type KeyWalk, walkKeys, walkRange } from '../key-walk.ts'
import { resyncWalk, reverifyWalk } from '../registry/bulk.ts'
import { reverifyPrimaryWalk } from '../verification/bulk.ts'
import type { BulkRunRow } from './bulk-run.ts'
import type { BulkAction, BulkFilter } from './request.ts'
import { type Advance, advanceRun, lockRun, shrinkPage } from './run-table.ts'

/** No transaction of a run reaches a second: a page that would is called off and tried again at half its size. */
const LONGEST_STATEMENT_MS = 800
const STATEMENT_TIMED_OUT = '57014'

export type SiteRole = 'primary' | 'secondary'

/** What a run walks, on each role. */
export function walkOf(role: SiteRole, action: BulkAction, replicable: Replicable, filter: BulkFilter): KeyWalk {
  if (role === 'primary') return reverifyPrimaryWalk(replicable, filter)
  return action === 'resync' ? resyncWalk(replicable, filter) : reverifyWalk(replicable, filter)
}

export interface PageOutcome {
  /** How many rows have new work now. */
  readonly changed: number
  /** False where only rows are left that others have locked, as far as was looked, or nothing. */
  readonly more: boolean
}

/** Does the next page of a run, cursor and counts in the same transaction. Null where there is none to be done here now. */
export async function workPage(
  db: Knex,
  id: string,
  role: SiteRole,
  replicable: Replicable,
): Promise<PageOutcome | null> {
  try {
    const work = async (trx: Knex.Transaction): Promise<PageOutcome | null> => {
      const row = await lockRun(trx, id)
      if (!row) return null
      const advance = await walkOn(trx, row, walkOf(role, row.action, replicable, row.filter))
      await advanceRun(trx, id, advance)
      const left = advance.leftOver.length
      const isAllLookedAt = row.left_over.length <= row.page_size || left === row.left_over.length
      const looksAgain = row.walked && left > 0 && isAllLookedAt
      const ended = advance.walked && left === 0
      return { changed: row.dry_run ? 0 : advance.changed, more: !looksAgain && !ended }
    }
    return await bounded(db, work, { longestStatementMs: LONGEST_STATEMENT_MS })
  } catch (reason) {
    if ((reason as { code?: string }).code !== STATEMENT_TIMED_OUT) throw reason
    if (!(await shrinkPage(db, id))) throw reason
    return { changed: 0, more: true }
  }
}

async function walkOn(trx: Knex.Transaction, row: BulkRunRow, walk: KeyWalk): Promise<Advance> {
  if (row.walked || row.last_key === null) {
    const [now, later] = [row.left_over.slice(0, row.page_size), row.left_over.slice(row.page_size)]
    const { changed, busy } = await walkKeys(trx, walk, now, row.dry_run)
    // They were counted as examined when they were met first. Those that are busy again come last.
    return { after: null, walked: true, leftOver: [...later, ...busy], examined: 0, changed }
  }
  const range = { after: row.after_key, upTo: row.last_key, limit: row.page_size }
  const page = await walkRange(trx, walk, range, row.dry_run)
  return {
    after: page.last,
    walked: page.examined < row.page_size,
    leftOver: [...row.left_over, ...page.busy],
    examined: page.examined,
    changed: page.changed,
  }
}
