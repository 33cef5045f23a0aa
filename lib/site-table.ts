import { randomBytes } from 'node:crypto'
import type { Knex } from 'knex'
import { z } from 'zod'
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

const newSiteShape = z.strictObject({
  name: z.string().trim().min(1, 'must not be blank').max(255),
  url: webUrl,
  internalUrl: webUrl.optional(),
  primary: z.boolean().default(false),
  filesMaxCapacity: z.int().min(0).default(10),
  verificationMaxCapacity: z.int().min(0).default(10),
})

/** `name` and `url` are required; `internalUrl` is where other sites reach this one; capacities count transfers and checksum batches. */
export type NewSite = z.input<typeof newSiteShape>

/**
 * Adds a site with keys of its own. Run it against the primary's database.
 * @throws GeoError `INVALID_SITE` for a bad field or a second primary, `SITE_EXISTS` for a name that is taken
 */
export async function insertSite(db: Knex, encryptionKey: Buffer, input: NewSite): Promise<Site> {
  const parsed = newSiteShape.safeParse(input)
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
    throw new GeoError('INVALID_SITE', problems.join('; '))
  }
  const site = parsed.data
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
