import { z } from 'zod'
import type { Replicable } from '../../blob/replicable.ts'

/** The fields of a site's status, in the order in which they are shown: the one source of its JSON schema and of its documentation. */

const count = (text: string) => z.int().nullable().describe(text)
const seconds = (text: string) => z.number().nullable().describe(text)
const unixSeconds = (text: string) => z.int().nullable().describe(`${text}. Unix seconds.`)

/** What belongs to the site as a whole, of both roles. */
export const SITE_FIELDS = Object.freeze({
  geo_node_id: z.int().describe('The id of the site in geo_nodes.'),
  healthy: z.boolean().describe('Whether `health_status` is Healthy.'),
  health: z.string().nullable().describe('Healthy, or what is wrong in words.'),
  health_status: z
    .enum(['Healthy', 'Unhealthy'])
    .describe(
      'Unhealthy where something keeps blobs from being replicated or verified, or the status is older than 60 minutes.',
    ),
  missing_oauth_application: z
    .boolean()
    .describe('Always false: sites sign their requests. Kept for clients that read it.'),
  db_replication_lag_seconds: count(
    'Seconds since the last transaction of the primary that the replica has applied, 0 where it has applied all it received; null on the primary.',
  ),
  replication_slots_count: count("Physical replication slots of the primary's database; null on a secondary."),
  replication_slots_used_count: count('Those with a connection.'),
  replication_slots_used_in_percentage: z.string().describe('Their share of all.'),
  replication_slots_max_retained_wal_bytes: count('The most bytes of WAL that one of them holds back.'),
  last_event_id: count('The newest event in the event log that this site sees.'),
  last_event_timestamp: unixSeconds('When it was written'),
  cursor_last_event_id: count('Secondary: the event up to which all have been handled.'),
  cursor_last_event_timestamp: unixSeconds('When that was written'),
  last_successful_status_check_timestamp: unixSeconds('When the primary last heard of this site'),
  version: z.string().describe('The version of this SDK on that site.'),
  revision: z.string().describe('The version of the host, as its option `revision` says; empty where it says nothing.'),
  selective_sync_type: z
    .string()
    .nullable()
    .describe('What a secondary that holds only part of the blobs selects by; null: it holds all.'),
  namespaces: z.array(z.never()).describe('Always empty. Kept for clients that read it.'),
  updated_at: z.string().nullable().describe('When all this was gathered. ISO 8601.'),
  storage_shards: z
    .array(z.strictObject({ name: z.string() }))
    .describe('The stores of that site: the types that it declares, with the algorithm of their checksums.'),
  storage_shards_match: z
    .boolean()
    .nullable()
    .describe('Whether they are those of the primary; null before it has told.'),
  clock_skew_seconds: seconds(
    "Secondary: how far the clock of the process that reported last is ahead of the primary's, measured by the report; within half of its round trip.",
  ),
  outdated_fields: z
    .array(z.string())
    .describe('Fields that could not be gathered the last time, and have the value of the time before.'),
})

/** The twelve of a type (GB.G.4). All null while its flag is off. */
export function typeFields({ names }: Pick<Replicable, 'names'>): Record<string, z.ZodType> {
  const { plural } = names
  const title = plural.replaceAll('_', ' ')
  const percentage = (text: string) => z.string().describe(text)
  return {
    [`${plural}_count`]: count(`Primary: ${title} with a file. Secondary: rows of the registry.`),
    [`${plural}_checksum_total_count`]: count(`Primary: ${title} that are to have a checksum.`),
    [`${plural}_checksummed_count`]: count(`Primary: ${title} with a checksum.`),
    [`${plural}_checksum_failed_count`]: count(`Primary: ${title} whose checksum failed.`),
    [`${plural}_synced_count`]: count(`Secondary: ${title} whose file is here.`),
    [`${plural}_failed_count`]: count(`Secondary: ${title} whose last attempt to fetch failed.`),
    [`${plural}_registry_count`]: count(`Secondary: ${title} in the registry, all that are to be here.`),
    [`${plural}_verification_total_count`]: count(
      `Secondary: ${title} that can be verified: the file is here and the primary has a checksum, or the last verification failed.`,
    ),
    [`${plural}_verified_count`]: count(`Secondary: ${title} whose stored bytes have the primary's checksum.`),
    [`${plural}_verification_failed_count`]: count(
      `Secondary: ${title} whose last verification failed, also while they are fetched again.`,
    ),
    [`${plural}_synced_in_percentage`]: percentage(
      `Secondary: synced of registry. 100.00% only where it is all of them.`,
    ),
    [`${plural}_verified_in_percentage`]: percentage(
      `Secondary: verified of those that can be verified. 100.00% only where it is all of them.`,
    ),
  }
}

const rates = (what: string) =>
  z
    .strictObject({ last_minute: z.number(), last_5_minutes: z.number(), last_60_minutes: z.number() })
    .describe(`${what} a second, on average.`)

/** What is told of a type beyond the twelve. */
export const PROGRESS_FIELDS = Object.freeze({
  corrupt_count: count('Primary: blobs whose bytes are no longer those of the recorded checksum. They are not served.'),
  synced_bytes: count('Secondary: bytes of the files that are here.'),
  pending_bytes: count(
    'Secondary: bytes that are still to come, as far as known; a size that no attempt has learnt counts as the mean of those here.',
  ),
  in_flight_count: count('Secondary: blobs that are being fetched.'),
  oldest_unsynced_seconds: seconds(
    "Secondary: how long the oldest blob that is not here has been waiting, since the host's transaction or, where no event told of it, since it was found. Null where there is none.",
  ),
  lag_seconds: z
    .strictObject({
      buckets: z
        .array(z.strictObject({ le: z.number().nullable(), count: z.int() }))
        .describe('Cumulative; `le` null is all.'),
      p50: z
        .number()
        .nullable()
        .describe('Upper bound of the bucket that half of them are within; null beyond the last.'),
      p99: z.number().nullable().describe('The same of 99 in 100.'),
    })
    .nullable()
    .describe(
      "Secondary, the last hour: from the host's transaction on the primary to verified here, by the clocks of both databases. Null where nothing was verified.",
    ),
  blobs_per_second: rates('Primary: checksums. Secondary: copies verified. Blobs'),
  bytes_per_second: rates('Secondary: bytes fetched'),
  remaining_seconds: seconds(
    'Secondary: blobs that are not verified, at the pace of the last five minutes, or of the last hour where those had none; null without either. 0: nothing is left.',
  ),
})

/**
 * The shape of a site's status, for the types that this host declares. Every answer has exactly these fields. `wording` is the
 * caller's word for a site; left out: either.
 */
export function statusShape(replicables: readonly Pick<Replicable, 'names'>[], wording?: 'node' | 'site') {
  return z.strictObject({
    ...SITE_FIELDS,
    ...Object.assign({}, ...replicables.map(typeFields)),
    progress: z.strictObject(
      Object.fromEntries(replicables.map(({ names }) => [names.plural, z.strictObject(PROGRESS_FIELDS)])),
    ),
    _links: wording
      ? z.strictObject({ self: z.string(), [wording]: z.string() })
      : z.strictObject({ self: z.string(), node: z.string().optional(), site: z.string().optional() }),
  })
}

/** A site's status as REST, GraphQL and the command show it. */
export type SiteStatus = Record<string, unknown> & {
  readonly [Name in keyof typeof SITE_FIELDS]: z.infer<(typeof SITE_FIELDS)[Name]>
} & { readonly progress: Readonly<Record<string, TypeProgress>> }

export type TypeProgress = { readonly [Name in keyof typeof PROGRESS_FIELDS]: z.infer<(typeof PROGRESS_FIELDS)[Name]> }
