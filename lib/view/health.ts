import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import type { StoreIdentities } from '../blob/store-identity.ts'
import { storesWithOrphans } from '../blob/store-table.ts'
import { refusesFiles, type WritableStores } from '../blob/writable-stores.ts'
import { ERROR_CODES, GeoError, messageOf } from '../errors.ts'
import type { JobFailure } from '../job-loop.ts'
import type { GatheredStatus } from '../node-status-table.ts'
import type { SiteDirectory } from '../site.ts'
import type { Refusal } from '../transfer/refusal.ts'
import { checkCursor } from './cursor-health.ts'
import { type Finding, finding } from './finding.ts'
import { checkMigrations } from './migration-health.ts'
import { checkReplica } from './replica-health.ts'
import { checkReported } from './reported-health.ts'
import { checkRetention } from './retention-health.ts'
import { checkScopes } from './scope-health.ts'
import { checkTracking } from './tracking-health.ts'

/** `unhealthy` where something keeps blobs from being replicated or verified; findings of a healthy site are hints. */
export interface Health {
  readonly status: 'healthy' | 'unhealthy'
  readonly findings: readonly Finding[]
}

export interface HealthSources {
  readonly main: Knex
  readonly tracking: Knex | null
  readonly sites: SiteDirectory
  readonly stores: StoreIdentities
  readonly writableStores: Pick<WritableStores, 'problem'>
  readonly replicables: readonly Replicable[]
  readonly eventRetentionMs: number
  jobFailures(): readonly JobFailure[]
  transferRefusal(): Refusal | null
}

/**
 * What is wrong with this site now. Never counts rows, never throws. `gathered`: what the metrics job has at this moment, where it
 * is the one that asks; else what it left is read.
 */
export async function checkHealth(sources: HealthSources, gathered: GatheredStatus | null = null): Promise<Health> {
  const findings: Finding[] = []
  try {
    const { main, tracking, sites, replicables, eventRetentionMs } = sources
    await sites.refresh()
    const { me, role } = sites
    if (!me) findings.push(finding('SITE_UNKNOWN', `No site is named "${sites.siteName}"`))
    else if (sites.staleness) findings.push(finding('STALE_EPOCH', sites.staleness.message))
    else if (!me.enabled) findings.push(finding('SITE_DISABLED', 'This site is disabled'))
    findings.push(...(await checkMigrations(main, 'main')))
    if (me && role === 'secondary') {
      findings.push(...(await checkReplica(main)))
      if (!sites.primary) findings.push(finding('PRIMARY_UNKNOWN', 'No site is marked as the primary'))
      if (tracking) findings.push(...(await checkMigrations(tracking, 'tracking')))
      findings.push(...(await checkTracking(tracking, me)))
      if (tracking) findings.push(...(await checkCursor(main, tracking)))
      if (tracking) findings.push(...(await checkScopes({ main, tracking, replicables }, me.selectiveSync)))
    }
    if (role === 'primary') findings.push(...(await checkRetention(main, eventRetentionMs)))
    findings.push(...(await checkReported(main, tracking, sites, gathered)))
    findings.push(...(await checkStores(sources)))
  } catch (reason) {
    findings.push(finding(reason instanceof GeoError ? reason.code : 'DATABASE_UNAVAILABLE', messageOf(reason)))
  }
  const refusal = sources.transferRefusal()
  if (refusal) findings.push(finding(refusal.code, refusal.message))
  for (const { job, error } of sources.jobFailures()) {
    const code = error instanceof GeoError ? error.code : 'JOB_FAILING'
    findings.push(finding(code, `${job}: ${messageOf(error)}`))
  }
  const ill = findings.some(({ code }) => ERROR_CODES[code][0] !== 200)
  return { status: ill ? 'unhealthy' : 'healthy', findings }
}

async function checkStores({
  main,
  tracking,
  sites,
  stores,
  writableStores,
  replicables,
}: HealthSources): Promise<Finding[]> {
  const findings: Finding[] = []
  const db = sites.role === 'primary' ? main : sites.role === 'secondary' ? tracking : null
  for (const orphans of db ? await storesWithOrphans(db, sites.siteName) : []) {
    const where = `in the store of ${orphans.replicableNames.join(', ')}`
    const message = `Files that no row names ${where}: ${orphans.files}, as of ${orphans.sweptAt}`
    findings.push(finding('ORPHANED_FILES', message))
  }
  for (const replicable of replicables) {
    const problem = db && (await stores.problem(replicable, db, sites.siteName))
    if (problem) findings.push(finding(problem.code, `${replicable.name}: ${problem.message}`))
    const { root } = replicable.store
    const refusal = db && !problem && ((await writableStores.problem(root)) ?? (await refusesFiles(root)))
    if (refusal) findings.push(finding(refusal.code, `${replicable.name}: ${refusal.message}`))
    if (!replicable.store.durable)
      findings.push(finding('DURABILITY_OFF', `${replicable.name}: files are not synced to disk`))
  }
  return findings
}
