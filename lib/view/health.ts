import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import type { StoreIdentities } from '../blob/store-identity.ts'
import { storesWithOrphans } from '../blob/store-table.ts'
import { run } from '../databases.ts'
import { ERROR_CODES, GeoError, messageOf } from '../errors.ts'
import type { JobFailure } from '../job-loop.ts'
import type { SiteDirectory } from '../site.ts'
import type { Refusal } from '../transfer/refusal.ts'
import { checkCursor } from './cursor-health.ts'
import { type Finding, finding } from './finding.ts'
import { checkScopes } from './scope-health.ts'

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
  readonly replicables: readonly Replicable[]
  jobFailures(): readonly JobFailure[]
  transferRefusal(): Refusal | null
}

/** What is wrong with this site now. Never counts rows, never throws. */
export async function checkHealth(sources: HealthSources): Promise<Health> {
  const findings: Finding[] = []
  try {
    await sources.sites.refresh()
    if (!sources.sites.me) findings.push(finding('SITE_UNKNOWN', `No site is named "${sources.sites.siteName}"`))
    else if (!sources.sites.me.enabled) findings.push(finding('SITE_DISABLED', 'This site is disabled'))
    if (sources.sites.role === 'secondary') findings.push(...(await checkReplica(sources)))
    if (sources.sites.role === 'secondary' && sources.tracking) {
      const { main, tracking, replicables } = sources
      findings.push(...(await checkCursor(main, tracking)))
      findings.push(...(await checkScopes({ main, tracking, replicables }, sources.sites.me?.selectiveSync ?? null)))
    }
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

async function checkReplica({ main, sites }: HealthSources): Promise<Finding[]> {
  const findings: Finding[] = []
  const { rows } = await run<{ rows: { recovering: boolean; logical: boolean }[] }>(
    main,
    `select pg_is_in_recovery() as recovering,
            exists (select from pg_stat_subscription where subname is not null) as logical`,
  )
  if (rows[0]?.recovering === false) {
    const logical = rows[0].logical
    findings.push(
      logical
        ? finding('LOGICAL_REPLICA', 'The main database of this secondary is a logical replica')
        : finding('NOT_IN_RECOVERY', 'The main database of this secondary is writable: it is not a streaming replica'),
    )
  }
  if (!sites.primary) findings.push(finding('PRIMARY_UNKNOWN', 'No site is marked as the primary'))
  return findings
}

async function checkStores({ main, tracking, sites, stores, replicables }: HealthSources): Promise<Finding[]> {
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
    if (!replicable.store.durable)
      findings.push(finding('DURABILITY_OFF', `${replicable.name}: files are not synced to disk`))
  }
  return findings
}
