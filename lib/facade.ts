import type { Router } from 'express'
import type { Assembly } from './assembly.ts'
import type { Replicable } from './blob/replicable.ts'
import { type Replicator, replicatorOf } from './event/publish.ts'
import { reverifyAll } from './registry/reverify.ts'
import { insertSite, listSites, type NewSite, type Site, type SiteChange, updateSite } from './site-table.ts'
import { requestChecksum } from './verification/await-checksum.ts'
import { forgetChecksum } from './verification/primary-state.ts'
import { checkHealth, type Health } from './view/health.ts'

/** The SDK inside one process of the host. */
export interface Geo {
  /** All routes; mount it anywhere in the app. */
  readonly router: Router
  /** The same routes, part by part. */
  readonly routers: { readonly retrieve: Router }
  /** Begins the background work. Throws ConfigurationError; a database that is down is no error, work begins when it is back. */
  start(): Promise<void>
  /** Takes no new work and waits for what runs, at most `timeoutMs`. True if all of it ended. */
  drain(options: { timeoutMs: number }): Promise<boolean>
  /** Cuts transfers, gives back leases, closes threads and connections. Twice is once. */
  stop(): Promise<void>
  /** What the host calls in the transaction of its writes. */
  replicator<Row>(replicable: Replicable<Row>): Replicator<Row>
  /** What is wrong with this site now. */
  health(): Promise<Health>
  /** On a secondary: every synced copy is hashed again. Returns how many. */
  reverify<Row>(replicable: Replicable<Row>): Promise<number>
  readonly sites: {
    /** Adds a site; on the primary's database. Throws GeoError `INVALID_SITE`, `SITE_EXISTS`. */
    add(site: NewSite): Promise<Site>
    /** Changes settings of a site; on the primary's database. Throws GeoError `INVALID_SITE`, `SITE_UNKNOWN`. */
    update(name: string, change: SiteChange): Promise<Site>
    list(): Promise<Site[]>
  }
}

/** The assembled parts behind what a host may call. */
export function facadeOf(assembly: Assembly): Geo {
  const { settings, databases, sites, gate, loops, stores, retrieve, router } = assembly
  const { main } = databases
  const tracking = databases.tracking ?? main

  return Object.freeze({
    router,
    routers: Object.freeze({ retrieve }),
    start: assembly.start,
    drain: assembly.drain,
    stop: assembly.stop,
    replicator<Row>(replicable: Replicable<Row>) {
      return replicatorOf(replicable, sites, gate, { requestChecksum, forgetChecksum }, assembly.hashAfter)
    },
    health: () =>
      checkHealth({
        main,
        tracking: databases.tracking,
        sites,
        stores,
        replicables: settings.replicables,
        jobFailures: () => loops.failures,
        transferRefusal: () => assembly.sources.sync.refusal,
        earlyEvents: () => assembly.earlyEvents(),
      }),
    async reverify<Row>(replicable: Replicable<Row>) {
      const woken = await reverifyAll(tracking, replicable as Replicable)
      loops.wake('verify')
      return woken
    },
    sites: Object.freeze({
      add: async (site: NewSite) => {
        const added = await insertSite(main, settings.encryptionKey, site)
        await sites.refresh()
        return added
      },
      update: async (name: string, change: SiteChange) => {
        const updated = await updateSite(main, name, change)
        await sites.refresh()
        return updated
      },
      list: () => listSites(main),
    }),
  })
}
