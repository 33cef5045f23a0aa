import type { Knex } from 'knex'
import { firstEarly } from '../event/cursor.ts'
import { holderOfHorizon } from '../event/event-log.ts'
import { typesOwed } from '../registry/reconciliation-table.ts'
import { type Finding, finding } from './finding.ts'

/** What keeps this site from following the event log. Asked of the databases, so any process of the site knows. */
export async function checkCursor(main: Knex, tracking: Knex): Promise<Finding[]> {
  const findings: Finding[] = []
  const early = await firstEarly(tracking)
  const holder = early && (await holderOfHorizon(main, early))
  if (holder) {
    const message = `Transaction ${holder.xactId} of the primary's cluster is open for ${holder.ageSeconds} s at least`
    findings.push(finding('CURSOR_HELD', `${message}; events after it are handled before their turn`))
  }
  const owed = await typesOwed(tracking, 'CURSOR_PRUNED')
  if (owed.length > 0) {
    const message = `Events were pruned before this site had read them; still to be reconciled: ${owed.join(', ')}`
    findings.push(finding('CURSOR_PRUNED', message))
  }
  return findings
}
