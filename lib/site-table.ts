import type { Knex } from 'knex'
import type { z } from 'zod'
import type { SelectiveSync } from './blob/selective-sync.ts'
import { GeoError } from './errors.ts'
import { type ReadOnlyColumns, type ReadOnlyMode, readOnlyModeOf } from './read-only-mode.ts'
import { hostOf } from './redirect-hosts.ts'
import {
  InvalidSiteError,
  type NewSite,
  newSiteShape,
  parseSite,
  type SiteChange,
  siteChangeShape,
} from './site-fields.ts'
import { freeSiteId } from './site-id.ts'
import { keysOf, newSiteKey, type SiteKeyColumns, type SiteKeys } from './site-key.ts'

export type { NewSite, SiteChange } from './site-fields.ts'

/** A row of geo_nodes as the SDK uses it. Secrets stay encrypted here. */
export interface Site extends SiteKeys {
  readonly id: string
  readonly name: string
  readonly primary: boolean
  readonly enabled: boolean
  /** With a trailing slash. */
  readonly url: string
  /** Where other sites reach it: `internal_url`, or `url` where that is empty. With a trailing slash. */
  readonly internalUrl: string
  /** Open transfers at once, over all processes of the site. */
  readonly filesMaxCapacity: number
  /** Kept for clients of the REST API; nothing reads it. */
  readonly reposMaxCapacity: number
  /** Checksum batches at once, over all processes of the site. */
  readonly verificationMaxCapacity: number
  /** Kept for clients of the REST API; nothing reads it. */
  readonly containerRepositoriesMaxCapacity: number
  readonly minimumReverificationIntervalDays: number
  /** Kept for clients of the REST API; nothing reads it. */
  readonly syncObjectStorage: boolean
  /** What all processes of a secondary together may receive a second; null is unlimited. */
  readonly transferBytesPerSecond: number | null
  /** A secondary hashes its verified copies again after so many days; null is never. */
  readonly copiesReverificationIntervalDays: number | null
  /** Which rows a secondary holds copies of; null is all. */
  readonly selectiveSync: SelectiveSync | null
  /** Beside its own, the hosts to which it may send other sites for a blob: an object storage. With a port where it is not the usual one. */
  readonly redirectHosts: readonly string[]
  /** Since 1970, by the clock of the primary's database. */
  readonly createdAtSeconds: number
  /** In which it became the primary by a promotion; 0 where it never did. */
  readonly epoch: number
  /** A later epoch that it has heard of as the primary of its own: it serves nothing any more. */
  readonly fencedByEpoch: number | null
  /** Of the primary: it takes no writes of the host. */
  readonly readOnly: ReadOnlyMode | null
}

export interface SiteRow extends SiteKeyColumns, ReadOnlyColumns {
  id: string
  name: string
  primary: boolean
  enabled: boolean
  url: string
  internal_url: string | null
  files_max_capacity: number
  repos_max_capacity: number
  verification_max_capacity: number
  container_repositories_max_capacity: number
  minimum_reverification_interval: number
  sync_object_storage: boolean
  transfer_bytes_per_second: string | null
  copies_reverification_interval: number | null
  selective_sync_type: string | null
  selective_sync_namespace_ids: string[]
  selective_sync_shards: string[]
  redirect_hosts: string[]
  created_at: Date
  epoch: number
  fenced_by_epoch: number | null
  fenced_at: Date | null
}

export function toSite(row: SiteRow): Site {
  return Object.freeze({
    id: String(row.id),
    name: row.name,
    primary: row.primary,
    enabled: row.enabled,
    url: row.url,
    internalUrl: row.internal_url ?? row.url,
    ...keysOf(row),
    filesMaxCapacity: row.files_max_capacity,
    reposMaxCapacity: row.repos_max_capacity,
    verificationMaxCapacity: row.verification_max_capacity,
    containerRepositoriesMaxCapacity: row.container_repositories_max_capacity,
    syncObjectStorage: row.sync_object_storage,
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
    redirectHosts: Object.freeze(row.redirect_hosts),
    createdAtSeconds: row.created_at.getTime() / 1000,
    epoch: row.epoch,
    fencedByEpoch: row.fenced_by_epoch,
    readOnly: readOnlyModeOf(row),
  })
}

/** All hosts to which a site may send another for a blob: its own ones are among them. */
export function redirectHostsOf({ url, internalUrl, redirectHosts }: Site): string[] {
  return [hostOf(url), hostOf(internalUrl), ...redirectHosts]
}

/** All sites, the primary first, then by name. `forUpdate` locks them to the end of the transaction. */
export async function listSites(db: Knex, { forUpdate = false }: { forUpdate?: boolean } = {}): Promise<Site[]> {
  const rows = await db<SiteRow>('geo_nodes')
    .orderBy([{ column: 'primary', order: 'desc' }, 'name'])
    .modify((query) => {
      if (forUpdate) query.forUpdate()
    })
  return rows.map(toSite)
}

/** What every write of a site may carry, by its column. What is not given is left out. */
function columnsOf(site: z.output<typeof siteChangeShape>): Partial<SiteRow> {
  const { selectiveSync, transferBytesPerSecond } = site
  const columns: { [Name in keyof SiteRow]?: SiteRow[Name] | undefined } = {
    name: site.name,
    enabled: site.enabled,
    url: site.url,
    internal_url: site.internalUrl && site.internalUrl === site.url ? null : site.internalUrl,
    files_max_capacity: site.filesMaxCapacity,
    repos_max_capacity: site.reposMaxCapacity,
    verification_max_capacity: site.verificationMaxCapacity,
    container_repositories_max_capacity: site.containerRepositoriesMaxCapacity,
    minimum_reverification_interval: site.minimumReverificationIntervalDays,
    sync_object_storage: site.syncObjectStorage,
    transfer_bytes_per_second: transferBytesPerSecond == null ? transferBytesPerSecond : String(transferBytesPerSecond),
    copies_reverification_interval: site.copiesReverificationIntervalDays,
    redirect_hosts: site.redirectHosts && [...site.redirectHosts],
    ...(selectiveSync !== undefined && {
      selective_sync_type: selectiveSync?.type ?? null,
      selective_sync_namespace_ids: [...(selectiveSync?.namespaceIds ?? [])],
      selective_sync_shards: [...(selectiveSync?.shards ?? [])],
    }),
  }
  return Object.fromEntries(Object.entries(columns).filter(([, value]) => value !== undefined))
}

/**
 * Adds a site with keys of its own. Run it against the primary's database.
 * @throws InvalidSiteError `INVALID_SITE` for a bad field, a second primary or more than 1,000 sites, `SITE_EXISTS` for a name that is taken
 */
export async function insertSite(db: Knex, encryptionKey: Buffer, input: NewSite): Promise<Site> {
  const site = parseSite(newSiteShape, input)
  if (site.primary && site.enabled === false) throw disabledPrimary()
  const { accessKey, secret } = newSiteKey(encryptionKey)
  const id = await freeSiteId(db)
  const [row] = await refusing(site.name, () =>
    db<SiteRow>('geo_nodes')
      .insert({
        id,
        ...columnsOf(site),
        primary: site.primary,
        access_key: accessKey,
        encrypted_secret_access_key: secret.ciphertext,
        encrypted_secret_access_key_iv: secret.iv,
      })
      .returning('*'),
  )
  return toSite(row as SiteRow)
}

/**
 * Changes settings of the site with this name. Run it against the primary's database.
 * @throws InvalidSiteError `INVALID_SITE` for a bad field or a primary that would be disabled, `SITE_EXISTS` for a new name that
 * is taken. GeoError `SITE_UNKNOWN`
 */
export async function updateSite(db: Knex, name: string, input: SiteChange): Promise<Site> {
  const change = parseSite(siteChangeShape, input)
  const [row] = await refusing(change.name, () =>
    db<SiteRow>('geo_nodes')
      .whereRaw('lower(name) = lower(?)', [name])
      .modify((query) => {
        if (change.enabled === false) query.where('primary', false)
      })
      .update({ ...columnsOf(change), updated_at: db.fn.now() })
      .returning('*'),
  )
  if (row) return toSite(row)
  await requireSite(db, name)
  throw disabledPrimary()
}

/**
 * Removes the site with this name, and what the primary has stored of its status. Run it against the primary's database.
 * @throws InvalidSiteError `INVALID_SITE` for the primary while there are other sites. GeoError `SITE_UNKNOWN`
 */
export async function deleteSite(db: Knex, name: string): Promise<void> {
  const deleted = await db('geo_nodes')
    .whereRaw('lower(name) = lower(?)', [name])
    .whereRaw('(not "primary" or not exists (select from geo_nodes as others where not others."primary"))')
    .delete()
  if (deleted > 0) return
  await requireSite(db, name)
  throw new InvalidSiteError([{ field: 'base', text: 'The primary site cannot be removed while there are others' }])
}

/** @throws GeoError `SITE_UNKNOWN` */
export async function requireSite(db: Knex, name: string): Promise<void> {
  const exists = await db('geo_nodes').whereRaw('lower(name) = lower(?)', [name]).first('id')
  if (!exists) throw new GeoError('SITE_UNKNOWN', `No site is named "${name}" in geo_nodes`)
}

function disabledPrimary(): InvalidSiteError {
  return new InvalidSiteError([{ field: 'enabled', text: 'Geo primary node cannot be disabled' }])
}

/** Says in words which of the table's two rules a write has met: one primary, and each name once. */
async function refusing<Result>(name: string | undefined, write: () => PromiseLike<Result>): Promise<Result> {
  try {
    return await write()
  } catch (cause) {
    const { code, constraint } = cause as { code?: string; constraint?: string }
    if (code !== '23505') throw cause
    if (constraint?.includes('primary')) {
      const message = 'There is a primary site already'
      throw new InvalidSiteError([{ field: 'primary', text: 'node already exists' }], { message, cause })
    }
    const message = `There is a site named "${name}" already`
    const taken = { field: 'name', text: 'has already been taken' }
    throw new InvalidSiteError([taken], { code: 'SITE_EXISTS', message, cause })
  }
}
