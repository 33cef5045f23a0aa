import { Router } from 'express'
import type { Audit } from './audit.ts'
import type { Replicable } from './blob/replicable.ts'
import type { StoreIdentities } from './blob/store-identity.ts'
import type { WritableStores } from './blob/writable-stores.ts'
import type { BulkRuns } from './bulk/bulk-runs.ts'
import type { Databases } from './databases.ts'
import type { FeatureGate } from './feature.ts'
import type { JobLoops } from './job-loop.ts'
import type { Leases } from './lease.ts'
import type { GeoSettings } from './options.ts'
import type { Signals } from './signals.ts'
import type { SiteDirectory } from './site.ts'
import type { StartCheck } from './start-check.ts'
import type { Refusal } from './transfer/refusal.ts'
import type { TransferThreads } from './transfer/threads.ts'
import type { ChecksumPool } from './verification/checksum.ts'
import { openAdmin } from './view/admin/admin.ts'
import { isAllowedBy } from './view/authorize.ts'
import type { DetailsDirectory } from './view/details/details.ts'
import { openDetails } from './view/details/directory.ts'
import type { GraphqlSources } from './view/graphql/sources.ts'
import { checkHealth, type Health } from './view/health.ts'
import { openMetrics } from './view/metrics/metrics.ts'
import { probesRouter } from './view/probes.ts'
import { restRouter } from './view/rest/rest-router.ts'
import { StatusGathering } from './view/status/gather.ts'

export interface ViewingContext {
  readonly settings: GeoSettings
  readonly databases: Databases
  readonly transferThreads: Pick<TransferThreads, 'load'>
  readonly checksums: Pick<ChecksumPool, 'load'>
  readonly sites: SiteDirectory
  readonly gate: FeatureGate
  readonly leases: Leases
  readonly stores: StoreIdentities
  readonly writableStores: WritableStores
  readonly loops: JobLoops
  readonly signals: Signals
  readonly byName: ReadonlyMap<string, Replicable>
  readonly bulk: BulkRuns
  readonly audit: Audit
  readonly check: StartCheck
  transferRefusal(): Refusal | null
  /** Whether this process is going away. */
  isEnding(): boolean
}

/** What people and machines look at. It is gathered in the background; nothing that is asked for is counted. */
export interface Viewing {
  health(): Promise<Health>
  readonly gathering: StatusGathering
  readonly rest: Router
  readonly metrics: Router
  readonly probes: Router
  readonly graphql: Router
  readonly details: DetailsDirectory
  readonly admin: Router
  /** What a scrape of this process is answered with; null without the option `metrics`. */
  readonly scrape: (() => Promise<string>) | null
  /** The fields of a site that GraphQL shows now; null without the option `graphql`. */
  readonly siteFields: (() => readonly string[]) | null
  close(): Promise<void>
}

export function openViewing(context: ViewingContext): Viewing {
  const { settings, databases, sites, gate, leases, stores, writableStores, loops, signals, transferRefusal } = context
  const { main, tracking } = databases
  const { replicables, clock, logger } = settings
  const sources = {
    main,
    tracking,
    sites,
    stores,
    writableStores,
    replicables,
    eventRetentionMs: settings.eventRetentionMs,
    transferRefusal,
    jobFailures: () => loops.failures,
  }
  const gathering = new StatusGathering({
    main,
    tracking,
    sites,
    replicables,
    revision: settings.revision,
    clock,
    logger,
    isEnabled: (replicable) => gate.replicationEnabled(replicable),
    transferRefusal,
    health: (gathered) => checkHealth(sources, gathered),
    gathered: () => loops.wake('report-position'),
  })
  const isAllowed = isAllowedBy({ settings, logger })
  const rest = restRouter({
    main,
    databases,
    sites,
    settings,
    encryptionKey: settings.encryptionKey,
    allowedIps: settings.allowedIps,
    clock,
    logger,
    isAllowed,
    audit: context.audit,
  })
  const doors = { ...context, allowedIps: settings.allowedIps, clock, logger }
  const graphql = settings.graphql?.open({ ...doors, isAllowed } satisfies GraphqlSources as never)
  const details = openDetails(doors)
  const metrics = openMetrics({
    databases,
    sites,
    settings,
    logger,
    signals,
    transferRefusal,
    leasesHeld: () => leases.heldCount,
    pools: () => ({ transfer: context.transferThreads.load, checksum: context.checksums.load }),
  })
  const admin = openAdmin({ ...context, details, clock, logger, isAllowed })
  const { check, isEnding } = context
  return Object.freeze({
    health: () => checkHealth(sources),
    gathering,
    rest,
    metrics: metrics.router,
    probes: probesRouter({ databases, sites, check, clock, isEnding }),
    graphql: graphql?.router ?? Router(),
    details,
    admin: admin.router,
    scrape: metrics.scrape,
    siteFields: graphql ? () => graphql.siteFields() : null,
    async close() {
      metrics.close()
      admin.close()
      await details.close()
      await graphql?.close()
    },
  })
}
