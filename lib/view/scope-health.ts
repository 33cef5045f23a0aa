import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { scopeProblem } from '../blob/scope.ts'
import type { SelectiveSync } from '../blob/selective-sync.ts'
import { typesOwed } from '../registry/reconciliation-table.ts'
import { type Finding, finding } from './finding.ts'

/** Types whose scope fails now, and those that are still to make up for the events of that time. Runs no query of the host's. */
export async function checkScopes(
  { main, tracking, replicables }: { main: Knex; tracking: Knex; replicables: readonly Replicable[] },
  selection: SelectiveSync | null,
): Promise<Finding[]> {
  const problems = replicables.map((replicable) => scopeProblem(replicable, main, selection))
  const findings = problems.filter((problem) => problem !== null).map(({ code, message }) => finding(code, message))
  const owed = await typesOwed(tracking, 'SCOPE_FAILED')
  if (owed.length > 0) {
    const what = 'what this site is to hold of them could not be asked'
    const message = `Events were skipped while ${what}; still to be reconciled: ${owed.join(', ')}`
    findings.push(finding('SCOPE_FAILED', message))
  }
  return findings
}
