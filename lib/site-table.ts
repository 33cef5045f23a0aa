import { randomBytes } from 'node:crypto'
import type { Knex } from 'knex'
import { z } from 'zod'
import type { SelectiveSync } from './blob/selective-sync.ts'
import { GeoError } from './errors.ts'
import { encryptSecret } from './secret.ts'

/** A row of geo_nodes as the SDK uses it. Secrets stay encrypted here. */
export interface Site {
  readonly id: string
  readonly name: string
  readonly primary: boolean
  readonly enabled: boolean
  /** With a trailing slash. */
  readonly url: string
  /** Where other sites reach it: `internal_url`, or `url` where that is empty. With a trailing slash. */
  readonly internalUrl: string
  readonly accessKey: string
  readonly secret: { readonly ciphertext: Buffer; readonly iv: Buffer }
  /** Open transfers at once, over all processes of the site. */
  readonly filesMaxCapacity: number
  /** Checksum batches at once, over all processes of the site. */
  readonly verificationMaxCapacity: number
  readonly minimumReverificationIntervalDays: number
  /** What all processes of a secondary together may receive a second; null is unlimited. */
  readonly transferBytesPerSecond: number | null
  /** A secondary hashes its verified copies again after so many days; null is never. */
  readonly copiesReverificationIntervalDays: number | null
  /** Which rows a secondary holds copies of; null is all. */
  readonly selectiveSync: SelectiveSync | null
}

interface SiteRow {
  id: string
  name: string
  primary: boolean
  enabled: boolean
  url: string
  internal_url: string | null
  access_key: string
  encrypted_secret_access_key: Buffer
  encrypted_secret_access_key_iv: Buffer
  files_max_capacity: number
  verification_max_capacity: number
  minimum_reverification_interval: number
  transfer_bytes_per_second: string | null
  copies_reverification_interval: number | null
  selective_sync_type: string | null
  selective_sync_namespace_ids: string[]
  selective_sync_shards: string[]
}

function toSite(row: SiteRow): Site {
  return Object.freeze({
    id: String(row.id),
    name: row.name,
    primary: row.primary,
    enabled: row.enabled,
    url: row.url,
    internalUrl: row.internal_url ?? row.url,
    accessKey: row.access_key,
    secret: { ciphertext: row.encrypted_secret_access_key, iv: row.encrypted_secret_access_key_iv },
    filesMaxCapacity: row.files_max_capacity,
    verificationMaxCapacity: row.verification_max_capacity,
    minimumReverificationIntervalDays: row.minimum_reverification_interval,
    transferBytesPerSecond: row.transfer_bytes_per_second === null ? null : Number(row.transfer_bytes_per_second),
    copiesReverificationIntervalDays: row.copies_reverification_interval,
    selectiveSync: row.selective_sync_type
      ? Object.freeze({
          type: row.selective_sync_type,
          namespaceIds: row.selective_sync_namespace_ids,
          shards: row.selective_sync_shards,
        })
      : null,
  })
}

/** All sites, the primary first, then by name. */
export async function listSites(db: Knex): Promise<Site[]> {
  const rows = await db<SiteRow>('geo_nodes').orderBy([{ column: 'primary', order: 'desc' }, 'name'])
  return rows.map(toSite)
}

const webUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
  .transform((url) => (url.endsWith('/') ? url : `${url}/`))

const LOWEST_RATE = 1024
const selectionShape = z.strictObject({
  type: z.string().trim().min(1).max(255),
  namespaceIds: z.array(z.string()).readonly().default([]),
  shards: z.array(z.string()).readonly().default([]),
})
const settings = {
  filesMaxCapacity: z.int().min(0),
  verificationMaxCapacity: z.int().min(0),
  minimumReverificationIntervalDays: z.int().min(1),
  transferBytesPerSecond: z.int().min(LOWEST_RATE).nullable(),
  copiesReverificationIntervalDays: z.int().min(1).nullable(),
  selectiveSync: selectionShape.nullable(),
}

const newSiteShape = z.strictObject({
  name: z.string().trim().min(1, 'must not be blank').max(255),
  url: webUrl,
  internalUrl: webUrl.optional(),
  primary: z.boolean().default(false),
  filesMaxCapacity: settings.filesMaxCapacity.default(10),
  verificationMaxCapacity: settings.verificationMaxCapacity.default(10),
})

/** `name` and `url` are required; `internalUrl` is where other sites reach this one; capacities count transfers and checksum batches. */
export type NewSite = z.input<typeof newSiteShape>

const siteChangeShape = z
  .strictObject({ enabled: z.boolean(), url: webUrl, internalUrl: webUrl.nullable(), ...settings })
  .partial()

/**
 * What may be changed of a site while it runs; its processes follow within five seconds. Rates in bytes a second, at least
 * 1,024; null is unlimited. `selectiveSync` null: the site holds copies of all rows.
 */
export type SiteChange = z.input<typeof siteChangeShape>

function parsed<Shape extends z.ZodType>(shape: Shape, input: unknown): z.output<Shape> {
  const result = shape.safeParse(input)
  if (result.success) return result.data
  const problems = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
  throw new GeoError('INVALID_SITE', problems.join('; '))
}

/**
 * Adds a site with keys of its own. Run it against the primary's database.
 * @throws GeoError `INVALID_SITE` for a bad field or a second primary, `SITE_EXISTS` for a name that is taken
 */
export async function insertSite(db: Knex, encryptionKey: Buffer, input: NewSite): Promise<Site> {
  const site = parsed(newSiteShape, input)
  const accessKey = randomBytes(15).toString('base64url')
  const secret = encryptSecret(randomBytes(30).toString('base64url'), encryptionKey, accessKey)
  try {
    const [row] = await db<SiteRow>('geo_nodes')
      .insert({
        name: site.name,
        primary: site.primary,
        url: site.url,
        internal_url: site.internalUrl === site.url ? null : (site.internalUrl ?? null),
        access_key: accessKey,
        encrypted_secret_access_key: secret.ciphertext,
        encrypted_secret_access_key_iv: secret.iv,
        files_max_capacity: site.filesMaxCapacity,
        verification_max_capacity: site.verificationMaxCapacity,
      })
      .returning('*')
    return toSite(row as SiteRow)
  } catch (reason) {
    const { code, constraint } = reason as { code?: string; constraint?: string }
    if (code !== '23505') throw reason
    if (constraint?.includes('primary')) {
      throw new GeoError('INVALID_SITE', 'There is a primary site already', { cause: reason })
    }
    throw new GeoError('SITE_EXISTS', `There is a site named "${site.name}" already`, { cause: reason })
  }
}

/**
 * Changes settings of the site with this name. Run it against the primary's database.
 * @throws GeoError `INVALID_SITE` for a bad field or a primary that would be disabled, `SITE_UNKNOWN`
 */
export async function updateSite(db: Knex, name: string, input: SiteChange): Promise<Site> {
  const change = parsed(siteChangeShape, input)
  const { selectiveSync } = change
  const columns: Partial<SiteRow> & { updated_at: Knex.Raw } = {
    ...(change.enabled !== undefined && { enabled: change.enabled }),
    ...(change.url !== undefined && { url: change.url }),
    ...(change.internalUrl !== undefined && { internal_url: change.internalUrl }),
    ...(change.filesMaxCapacity !== undefined && { files_max_capacity: change.filesMaxCapacity }),
    ...(change.verificationMaxCapacity !== undefined && { verification_max_capacity: change.verificationMaxCapacity }),
    ...(change.minimumReverificationIntervalDays !== undefined && {
      minimum_reverification_interval: change.minimumReverificationIntervalDays,
    }),
    ...(change.transferBytesPerSecond !== undefined && {
      transfer_bytes_per_second: change.transferBytesPerSecond === null ? null : String(change.transferBytesPerSecond),
    }),
    ...(change.copiesReverificationIntervalDays !== undefined && {
      copies_reverification_interval: change.copiesReverificationIntervalDays,
    }),
    ...(selectiveSync !== undefined && {
      selective_sync_type: selectiveSync?.type ?? null,
      selective_sync_namespace_ids: [...(selectiveSync?.namespaceIds ?? [])],
      selective_sync_shards: [...(selectiveSync?.shards ?? [])],
    }),
    updated_at: db.fn.now(),
  }
  const rows: SiteRow[] = await db('geo_nodes')
    .whereRaw('lower(name) = lower(?)', [name])
    .modify((query) => {
      if (change.enabled === false) query.where('primary', false)
    })
    .update(columns)
    .returning('*')
  const [row] = rows
  if (row) return toSite(row)
  const exists = await db('geo_nodes').whereRaw('lower(name) = lower(?)', [name]).first('id')
  if (exists) throw new GeoError('INVALID_SITE', 'enabled: Geo primary node cannot be disabled')
  throw new GeoError('SITE_UNKNOWN', `No site is named "${name}" in geo_nodes`)
}
