import type { RequestHandler, Router } from 'express'
import type { Assembly } from './assembly.ts'
import type { Replicable } from './blob/replicable.ts'
import type { BulkRun } from './bulk/bulk-run.ts'
import type { BulkRequest } from './bulk/request.ts'
import { type Replicator, replicatorOf } from './event/publish.ts'
import type { ReadOnlyOptions } from './read/read-only.ts'
import type { ServeOptions } from './read/serve-blob.ts'
import { type DriftCount, listDrift } from './registry/drift.ts'
import { type RepairRequest, type RepairResult, repair } from './repairing.ts'
import { type SampleRequest, verifySample } from './sampling.ts'
import type { GeoListener, GeoSignalName } from './signals.ts'
import { requireNoFence, requireNoFenceFor } from './site-fence.ts'
import type { NewSite, SiteChange } from './site-fields.ts'
import { reencryptSites } from './site-reencryption.ts'
import { rotateSiteKey } from './site-rotation.ts'
import { deleteSite, insertSite, listSites, type Site, updateSite } from './site-table.ts'
import { requestChecksum } from './verification/await-checksum.ts'
import { forgetChecksum } from './verification/primary-state.ts'
import type { SampleResult } from './verification/sample.ts'
import type { Health } from './view/health.ts'
import type { SiteStatus } from './view/status/fields.ts'
import { statusOf } from './view/status/read.ts'

/** The SDK inside one process of the host. */
export interface Geo {
  /** All routes; mount it anywhere in the app. */
  readonly router: Router
  /** The same routes, part by part. */
  readonly routers: {
    readonly retrieve: Router
    readonly copies: Router
    readonly status: Router
    /** `POST /api/v4/geo/epoch`: how sites tell each other of promotions. Wherever `retrieve` is mounted this has to be as well. */
    readonly epochs: Router
    /**
     * For orchestrators and load balancers; open to everybody, for they tell nothing else.
     * - `GET /healthz` answers 200 while this process answers at all: where it does not, start it anew. Asks no database.
     * - `GET /readyz` answers 200 where requests may be sent to this process: its databases answer within two seconds, hold the
     *   tables that it needs, and its role is known. Else 503 with codes, among them `STOPPED` once it drains. Says nothing of
     *   how well replication goes: that is `geo.health()`.
     */
    readonly health: Router
    /** GitLab's API for sites and their statuses, under `/api/v4/geo_nodes` and `/api/v4/geo_sites`: docs/rest.md. */
    readonly rest: Router
    /** `GET /metrics`, for whoever may `read_geo` or has the token; without the option `metrics` it has no route. */
    readonly metrics: Router
    /** `/api/graphql` and what belongs to it: docs/graphql.md. Without the option `graphql` it has no route. */
    readonly graphql: Router
    /**
     * `POST /api/v4/geo/details`: what the admin pages of the primary show and change of this site. Only what the primary has
     * signed is answered.
     */
    readonly details: Router
  }
  /** Begins the background work. Throws ConfigurationError; a database that is down is no error, work begins when it is back. */
  start(): Promise<void>
  /**
   * Takes no new work for the rest of its life, and waits for what runs, at most `timeoutMs` milliseconds. True if all of it
   * ended. Another process takes over the periodic jobs at once.
   */
  drain(options: { timeoutMs: number }): Promise<boolean>
  /**
   * Cuts transfers, gives back what was claimed, so that another process goes on with it at once, and closes threads, timers
   * and connections. Twice is once; start after it does nothing, and what asks the databases gets `STOPPED`.
   */
  stop(): Promise<void>
  /** What the host calls in the transaction of its writes. */
  replicator<Row>(replicable: Replicable<Row>): Replicator<Row>
  /** On a secondary: what no event has told of, and reconciliation has found and mended, since its tracking database was made. */
  drift(): Promise<DriftCount[]>
  /**
   * The handler of a route of the host that answers with the file of one record, on every site: the local file where it is
   * known to be right, else streamed from the primary. ETag, Range and HEAD; `Content-Disposition` is the host's.
   * Who may read is the host's to decide, before this handler. Answers errors itself, as JSON with a code:
   * `RECORD_NOT_FOUND`, `FILE_NOT_FOUND`, `CORRUPT_ON_PRIMARY`, `STORE_NOT_MOUNTED`, `BLOB_FUNCTION_FAILED`, `PRIMARY_UNREACHABLE`,
   * `PRIMARY_BUSY`, `DATABASE_UNAVAILABLE` and what else the primary says.
   */
  serve<Row>(replicable: Replicable<Row>, options?: ServeOptions<Row>): RequestHandler
  /**
   * Middleware for all routes that write, mounted before anything that reads bodies. On the primary it lets everything pass, save
   * while `geo read-only` is on: then it answers 503 `READ_ONLY_MODE`. On a secondary it answers whatever is not GET, HEAD or OPTIONS with 409 `READ_ONLY_SITE` and the primary's URL, or passes it
   * on to the primary. Codes: `SITE_UNKNOWN`, `PRIMARY_UNKNOWN`, `PRIMARY_UNREACHABLE`, `FORWARD_UNANSWERED`, `FORWARD_LOOP`,
   * `BODY_CONSUMED`, `DATABASE_UNAVAILABLE`.
   */
  readOnly(options?: ReadOnlyOptions): RequestHandler
  /** What is wrong with this site now. */
  health(): Promise<Health>
  /**
   * What the site gathered of itself last, at most a minute ago: the fields of docs/status.md. Counts nothing. Throws GeoError
   * `SITE_UNKNOWN`, and what the database says.
   */
  status(): Promise<SiteStatus>
  /**
   * Calls `listener` with what this process does from now on, once it is committed; what other processes of the site do, they
   * tell their own listeners. Returns what ends it. An exception in a listener is logged and goes no further; a listener that
   * waits is not waited for. Names and fields: docs/events.md. Throws ConfigurationError `INVALID_OPTIONS` for another name.
   */
  on<Name extends GeoSignalName>(name: Name, listener: GeoListener<Name>): () => void
  /**
   * Hashes files drawn uniformly at random from the verified ones of each type, now, and says with 95 % confidence how many of
   * all may be bad. On any site, beside all else and under its verification capacity. Verdicts are recorded: what is found bad
   * heals like any failed verification. Throws GeoError `INVALID_REQUEST`, `UNKNOWN_REPLICABLE`, `TYPE_OFF`, `SITE_UNKNOWN`,
   * `STORE_NOT_MOUNTED`, `STALE_EPOCH`, and the reason of the request's signal.
   */
  verifySample(request: SampleRequest): Promise<SampleResult[]>
  /**
   * On the primary: brings back files that are missing or corrupt, from secondaries whose verified copies still have the recorded
   * checksum. A good file is never replaced. Throws GeoError `NOT_PRIMARY`, `REPAIR_RUNNING`, `INVALID_REQUEST`,
   * `UNKNOWN_REPLICABLE`, `TYPE_OFF`, `INVALID_RECORD_ID`, `SITE_UNKNOWN`, `STORE_NOT_MOUNTED`.
   */
  repair(request?: RepairRequest): Promise<RepairResult[]>
  /** Work on all rows of a type or those that a filter names, done page by page by whichever process of the site works. */
  readonly bulk: {
    /**
     * Stores a run; it begins within a second where a process works. Throws GeoError `BULK_RUN_ACTIVE` while one of the same
     * kind (action, type, dry run or not) has not ended, `INVALID_REQUEST`, `UNKNOWN_REPLICABLE`, `INVALID_RECORD_ID`,
     * `NOT_SECONDARY`, `SITE_UNKNOWN`, `STALE_EPOCH`.
     */
    start(request: BulkRequest): Promise<BulkRun>
    /** A run and how far it is. Throws GeoError `BULK_RUN_UNKNOWN`; ended runs are kept for 30 days. */
    get(id: string): Promise<BulkRun>
    /** The newest 100 runs of this site, the newest first. */
    list(): Promise<BulkRun[]>
    /** Ends a run after the page that is being done; what was done stays. Throws GeoError `BULK_RUN_UNKNOWN`, `STALE_EPOCH`. */
    cancel(id: string): Promise<BulkRun>
  }
  readonly sites: {
    /** Adds a site; on the primary's database. Throws GeoError `INVALID_SITE`, `SITE_EXISTS`, `STALE_EPOCH`. */
    add(site: NewSite): Promise<Site>
    /**
     * Changes settings of a site; on the primary's database. Throws GeoError `INVALID_SITE`, `SITE_EXISTS`, `SITE_UNKNOWN`, `STALE_EPOCH`
     * where more than its addresses is changed in the table of a fenced primary.
     */
    update(name: string, change: SiteChange): Promise<Site>
    /**
     * Removes a site; on the primary's database. Its processes stop working within five seconds; its files stay. Throws GeoError
     * `INVALID_SITE` for the primary while there are others, `SITE_UNKNOWN`.
     */
    remove(name: string): Promise<void>
    /**
     * Gives a site a new key without a pause; on the primary's database. Other sites take it as soon as their replicas have it; the
     * site signs with it after `leadSeconds` (default 600), and the old one is good for as long again. Throws GeoError `SITE_UNKNOWN`,
     * `INVALID_REQUEST` while the last new key takes over.
     */
    rotateKey(name: string, options?: { readonly leadSeconds?: number }): Promise<Site>
    /**
     * Encrypts the keys of all sites with the first `encryptionKey`, where another one of the list has; on the primary's database. Returns for
     * how many sites that was so. The keys stay the same. Throws GeoError `SECRET_UNDECRYPTABLE`, and changes nothing then.
     */
    reencrypt(): Promise<number>
    list(): Promise<Site[]>
  }
}

/** The assembled parts behind what a host may call. */
export function facadeOf(assembly: Assembly): Geo {
  const { settings, databases, sites, gate, bulk, retrieve, status, router, reading } = assembly
  const { main } = databases

  return Object.freeze({
    router,
    routers: Object.freeze({
      retrieve,
      copies: assembly.copies,
      epochs: assembly.epochs,
      status,
      health: assembly.viewing.probes,
      rest: assembly.viewing.rest,
      metrics: assembly.viewing.metrics,
      graphql: assembly.viewing.graphql,
      admin: assembly.viewing.admin,
      details: assembly.viewing.details.router,
    }),
    start: assembly.start,
    drain: assembly.drain,
    stop: assembly.stop,
    replicator<Row>(replicable: Replicable<Row>) {
      return replicatorOf(main, replicable, sites, gate, { requestChecksum, forgetChecksum }, assembly.hashAfter)
    },
    drift: async () => (databases.tracking ? listDrift(databases.tracking) : []),
    serve<Row>(replicable: Replicable<Row>, options?: ServeOptions<Row>) {
      return reading.serve(replicable as Replicable, options)
    },
    readOnly: reading.readOnly,
    health: assembly.viewing.health,
    status: () => statusOf(assembly),
    on<Name extends GeoSignalName>(name: Name, listener: GeoListener<Name>) {
      return assembly.signals.on(name, listener)
    },
    repair: (request: RepairRequest = {}) => repair(assembly, request),
    verifySample: (request: SampleRequest) => verifySample(assembly, request),
    bulk: Object.freeze({
      start: (request: BulkRequest) => bulk.start(request),
      get: (id: string) => bulk.get(id),
      list: () => bulk.list(),
      cancel: (id: string) => bulk.cancel(id),
    }),
    sites: Object.freeze({
      add: async (site: NewSite) => {
        await requireNoFence(main)
        const added = await insertSite(main, settings.encryptionKey, site)
        await sites.refresh()
        return added
      },
      update: async (name: string, change: SiteChange) => {
        await requireNoFenceFor(main, change)
        const updated = await updateSite(main, name, change)
        await sites.refresh()
        return updated
      },
      remove: async (name: string) => {
        await deleteSite(main, name)
        await sites.refresh()
      },
      rotateKey: async (name: string, { leadSeconds }: { readonly leadSeconds?: number } = {}) => {
        const rotated = await rotateSiteKey(main, settings.encryptionKey, name, leadSeconds)
        await sites.refresh()
        return rotated
      },
      reencrypt: async () => {
        const changed = await reencryptSites(main, settings.encryptionKeys)
        await sites.refresh()
        return changed
      },
      list: () => listSites(main),
    }),
  })
}
