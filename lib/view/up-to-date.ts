import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { sameSelection } from '../blob/selective-sync.ts'
import { clusterIdentity, isSameLog } from '../event/cursor.ts'
import { allHandled, hasEventAfter } from '../event/unread.ts'
import { loadNodeStatuses, type NodeStatus } from '../node-status-table.ts'
import { countRegistry } from '../registry/counts.ts'
import { loadReconciliations } from '../registry/reconciliation-table.ts'
import type { SiteDirectory } from '../site.ts'
import type { Site } from '../site-table.ts'
import { toldCount } from '../told-status.ts'
import { countPrimary } from '../verification/counts.ts'

export interface UpToDateSources {
  readonly databases: { readonly main: Knex; readonly tracking: Knex | null }
  readonly sites: SiteDirectory
}

/**
 * What keeps a secondary from being whole, a sentence each; none: it has heard of all that its replica of the primary has,
 * holds a copy of all of it, and each is verified. Counts the registries, page by page.
 */
export async function missingHere(
  { databases, sites }: UpToDateSources,
  replicables: readonly Replicable[],
): Promise<string[]> {
  const { main, tracking } = databases
  const me = sites.requireMe()
  if (!tracking) return ['There is no tracking database']
  // Before anything is counted: what is told of later need not be here.
  if (!(await allHandled(main, tracking, me.name))) return ['events of the primary are still to be read']
  const { types } = await loadReconciliations(tracking)
  const missing: string[] = []
  for (const replicable of replicables) {
    const pass = types.get(replicable.name)
    if (!pass?.endedAt || pass.askedAt !== null || !sameSelection(pass.selection, me.selectiveSync)) {
      missing.push(`${replicable.names.plural}: not compared with the host's rows yet`)
      continue
    }
    const { registry, verified, failed } = await countRegistry(tracking, replicable, { enabled: true })
    missing.push(...unverified(replicable, registry, verified, failed))
  }
  return missing
}

/** What keeps secondaries from being whole, as the primary can tell: by what each gathered after it had read the whole log. */
export async function missingElsewhere(
  { databases: { main } }: UpToDateSources,
  secondaries: readonly Site[],
  replicables: readonly Replicable[],
): Promise<string[]> {
  const identity = await clusterIdentity(main)
  const totals = new Map<Replicable, number | null>()
  for (const replicable of replicables)
    totals.set(replicable, (await countPrimary(main, replicable, { enabled: true })).total)
  const statuses = await loadNodeStatuses(main)
  const missing: string[] = []
  for (const site of secondaries) {
    const node = statuses.get(site.id)
    const position = node?.position
    if (!node || !position) {
      missing.push(`${site.name}: has told nothing yet`)
      continue
    }
    if (!isSameLog(position, identity) || (await hasEventAfter(main, position))) {
      missing.push(`${site.name}: events are still to be read`)
    } else if (String(toldCount.parse(node.status['cursor_last_event_id'])) !== position.eventId) {
      missing.push(`${site.name}: has not counted since it read the last event`)
    } else {
      for (const [replicable, total] of totals) missing.push(...missingBy(site, node, replicable, total))
    }
  }
  return missing
}

function missingBy(site: Site, { status }: NodeStatus, replicable: Replicable, total: number | null): string[] {
  const count = (field: string) => toldCount.parse(status[`${replicable.names.plural}_${field}`])
  const registry = count('registry_count')
  if (registry === null) return [`${site.name}: ${replicable.names.plural} are not counted there`]
  // What a selection leaves out only that site can say.
  if (!site.selectiveSync && total !== null && registry !== total) {
    return [`${site.name}: knows ${registry} of ${total} ${replicable.names.plural}`]
  }
  return unverified(replicable, registry, count('verified_count'), count('failed_count')).map(
    (text) => `${site.name}: ${text}`,
  )
}

function unverified(
  { names }: Replicable,
  all: number | null,
  verified: number | null,
  failed: number | null,
): string[] {
  if (all !== null && verified === all) return []
  const failures = failed ? `, ${failed} failed` : ''
  return [`${names.plural}: ${verified ?? 0} of ${all ?? 'unknown'} verified${failures}`]
}
