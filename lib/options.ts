import type { Request } from 'express'
import type { Knex } from 'knex'
import type { Registry } from 'prom-client'
import { z } from 'zod'
import type { Ability } from './ability.ts'
import type { AllowedIps } from './allowed-ips.ts'
import type { Replicable } from './blob/replicable.ts'
import { type Clock, systemClock } from './clock.ts'
import { ConfigurationError } from './errors.ts'
import type { FeaturesLike } from './feature.ts'
import { type LoggerLike, stderrLogger } from './log.ts'
import { allowedIps, certificates, encryptionKeys, knexInstance } from './option-values.ts'
import type { GraphqlPart } from './view/graphql/sources.ts'

/** What the host says of Prometheus metrics. */
export interface MetricsOptions {
  /** A registry of prom-client that ours are added to, and that `/metrics` shows whole. Default: one of our own. */
  registry?: Registry
  /**
   * Whoever sends `Authorization: Bearer <token>` may scrape, besides those whom `authorize` lets `read_geo`. 16 to 1,024
   * characters. Default: none.
   */
  token?: string
}

/** What the host passes to createGeo. */
export interface GeoOptions {
  /** The name of this site, as it stands in the table geo_nodes. */
  siteName: string
  /** The host's database; on a secondary its streaming replica. The SDK opens a small pool of its own to the same place. */
  mainDb: Knex
  /** The secondary's own database, for registries and cursors. Required on a secondary, unused on a primary. */
  trackingDb?: Knex
  /** The blob types, in the order in which people see them. */
  replicables: readonly Replicable<never>[]
  /**
   * An unleash-client instance, started and ready, or anything with its `isEnabled`. A flag that it does not know, and every flag
   * before it is ready, is as the declaration says. Default: a type is on once it is `released`.
   */
  features?: FeaturesLike
  /**
   * 32 bytes as hex or base64; the same on all sites. Encrypts the sites' secrets in the database (AES-256-GCM). While it is changed
   * for another one, a list of up to 8: the first encrypts, any of them decrypts.
   */
  encryptionKey: string | readonly string[]
  /**
   * Who may see (`read_geo`) and steer (`admin_geo`), on the admin pages, over REST and GraphQL: `true` lets the request pass,
   * anything else, an exception too, is a 403. Default: nobody.
   */
  authorize?: (request: Request, ability: Ability) => boolean | Promise<boolean>
  /**
   * From which addresses other sites may ask this one, as addresses or ranges (`10.0.0.0/8`), in a list or with commas. Behind a
   * proxy set Express's `trust proxy`: it is `request.ip` that counts. All others get 401 `IP_NOT_ALLOWED`. Default: from any.
   */
  allowedIps?: string | readonly string[]
  /**
   * Who it is that asks, for the record: of a change that is asked for, and in the log. At most 255 characters. Default: null,
   * nobody in particular.
   */
  operator?: (request: Request) => string | null | Promise<string | null>
  /**
   * The GraphQL API at `/api/graphql`: `geoGraphql()` of `express-geo-replication/graphql`, which needs the packages `graphql`,
   * `graphql-yoga`, `@pothos/core`, `@pothos/plugin-relay` and `dataloader`. Default: none, and no route.
   */
  graphql?: GraphqlPart
  /** Default: warnings and errors as JSON lines on standard error. */
  logger?: LoggerLike
  /** False in a process that only serves and publishes; the background work is done elsewhere. Default true. */
  work?: boolean
  /**
   * Longest silence on a transfer before it is cut, in milliseconds. Default 60,000. There is no limit on its whole length. So it is
   * for whoever takes nothing of a file that is served; and the body of a request to a door of the SDK must have come in this time.
   */
  idleTimeoutMs?: number
  /**
   * How many requests for blobs a process answers another site at once beyond its `files_max_capacity`, for people who read there
   * what it has not got yet. One more is answered 429 `TOO_MANY_TRANSFERS` with `Retry-After`. Default 100 requests.
   */
  retrieveMargin?: number
  /** Certificates (PEM) of authorities that are trusted beside Node's own when the primary is asked over https. Default: none. */
  ca?: string | Buffer | readonly (string | Buffer)[]
  /** A blob that has been fetched for so long without a living worker fails, in milliseconds. Default 28,800,000 (8 h). */
  syncTimeoutMs?: number
  /** The same for a blob that is being hashed, in milliseconds. Default 28,800,000 (8 h). */
  verificationTimeoutMs?: number
  /** How long events are kept for secondaries that have not read them, in milliseconds. Default 7 days; at least an hour. */
  eventRetentionMs?: number
  /** A file that no row names counts as nobody's when it is older than this, in milliseconds. Default 24 h; at least an hour. */
  orphanAgeMs?: number
  /** Rest between two searches for files that no row names, in milliseconds. Default 24 h; at least a minute. */
  sweepIntervalMs?: number
  /** What a secondary does with such files: the folder of a store holds nothing else. Default `remove`; `report` keeps them. */
  orphans?: 'remove' | 'report'
  /** Worker threads for checksums, and as many again for transfers. Default: the number of cores, at most 4. */
  threads?: number
  /** The version of the host, shown in the status of the site. Default: empty. */
  revision?: string
  /** Prometheus metrics at `/metrics`. Default: none, and no route. Throws `INVALID_OPTIONS` where a name is taken in the registry. */
  metrics?: MetricsOptions
  /** Time and chance, for specs. Default: the system's. */
  clock?: Clock
}

/** The options with every default in place. Frozen. */
export type GeoSettings = Readonly<
  Required<
    Omit<
      GeoOptions,
      | 'trackingDb'
      | 'features'
      | 'threads'
      | 'metrics'
      | 'graphql'
      | 'replicables'
      | 'encryptionKey'
      | 'ca'
      | 'allowedIps'
    >
  > & {
    allowedIps: AllowedIps
    trackingDb: Knex | null
    features: FeaturesLike | null
    threads: number | null
    metrics: MetricsOptions | null
    graphql: GraphqlPart | null
    replicables: readonly Replicable[]
    /** The one that encrypts. */
    encryptionKey: Buffer
    /** All that decrypt; the one that encrypts is the first. */
    encryptionKeys: readonly Buffer[]
    ca: readonly string[]
  }
>

const EIGHT_HOURS_MS = 8 * 60 * 60_000
const DAY_MS = 24 * 3_600_000

const optionsShape = z.strictObject({
  siteName: z.string().trim().min(1).max(255),
  mainDb: knexInstance,
  trackingDb: knexInstance.optional(),
  replicables: z.array(z.custom<Replicable>((value) => Object.isFrozen(value), 'must come from defineReplicable')),
  features: z
    .custom<FeaturesLike>(
      (value) => typeof (value as FeaturesLike | null)?.isEnabled === 'function',
      'needs isEnabled()',
    )
    .optional(),
  encryptionKey: encryptionKeys,
  authorize: z.custom<GeoSettings['authorize']>((value) => typeof value === 'function').default(() => () => false),
  allowedIps,
  operator: z.custom<GeoSettings['operator']>((value) => typeof value === 'function').default(() => () => null),
  graphql: z
    .custom<GraphqlPart>(
      (value) => typeof (value as GraphqlPart | null)?.open === 'function',
      'must be geoGraphql() of express-geo-replication/graphql',
    )
    .optional(),
  logger: z
    .custom<LoggerLike>(
      (value) => typeof (value as LoggerLike | null)?.warn === 'function',
      'needs debug, info, warn, error',
    )
    .default(stderrLogger),
  work: z.boolean().default(true),
  idleTimeoutMs: z.int().min(100).default(60_000),
  retrieveMargin: z.int().min(0).max(100_000).default(100),
  ca: certificates,
  syncTimeoutMs: z.int().min(60_000).default(EIGHT_HOURS_MS),
  verificationTimeoutMs: z.int().min(60_000).default(EIGHT_HOURS_MS),
  eventRetentionMs: z
    .int()
    .min(3_600_000)
    .default(7 * DAY_MS),
  orphanAgeMs: z.int().min(3_600_000).default(DAY_MS),
  sweepIntervalMs: z.int().min(60_000).default(DAY_MS),
  orphans: z.enum(['remove', 'report']).default('remove'),
  threads: z.int().min(1).max(64).optional(),
  revision: z.string().max(255).default(''),
  metrics: z
    .strictObject({
      registry: z
        .custom<Registry>(
          (value) => typeof (value as Registry | null)?.registerMetric === 'function',
          'must be a registry of prom-client',
        )
        .optional(),
      token: z.string().min(16).max(1024).regex(/^\S+$/, 'must be without spaces').optional(),
    })
    .optional(),
  clock: z.custom<Clock>((value) => typeof (value as Clock | null)?.sleep === 'function').default(systemClock),
})

/**
 * Checks what the host passed and fills in the defaults.
 * @throws ConfigurationError `INVALID_OPTIONS`, `DUPLICATE_REPLICABLE`
 */
export function parseOptions(options: GeoOptions): GeoSettings {
  const parsed = optionsShape.safeParse(options)
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'options'}: ${issue.message}`)
    throw new ConfigurationError('INVALID_OPTIONS', `createGeo: ${problems.join('; ')}`)
  }
  const { trackingDb, features, threads, metrics, graphql, encryptionKey: encryptionKeys, ...rest } = parsed.data
  const [encryptionKey = Buffer.alloc(0)] = encryptionKeys
  const seen = new Set<string>()
  for (const { name } of rest.replicables) {
    if (seen.has(name))
      throw new ConfigurationError('DUPLICATE_REPLICABLE', `createGeo: two replicables are named "${name}"`)
    seen.add(name)
  }
  return Object.freeze({
    ...rest,
    encryptionKey,
    encryptionKeys: Object.freeze(encryptionKeys),
    trackingDb: trackingDb ?? null,
    features: features ?? null,
    threads: threads ?? null,
    metrics: metrics ? Object.freeze(metrics as MetricsOptions) : null,
    graphql: graphql ?? null,
  })
}
