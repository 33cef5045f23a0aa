import type { Knex } from 'knex'
import { GeoError } from './errors.ts'
import { newSiteKey } from './site-key.ts'
import { requireSite, type Site, toSite } from './site-table.ts'

/** More than any replica should lag behind. */
export const SAFE_LEAD_SECONDS = 600
const LONGEST_LEAD_SECONDS = 30 * 86_400

/**
 * Gives the site with this name a new key, without a pause: other sites take it as soon as they know of it, the site signs with it
 * after `leadSeconds`, and the old one is good for as long again. In that time every process must be able to read the row that is
 * written now, from its replica. Run it against the primary's database.
 * @throws GeoError `SITE_UNKNOWN`, `INVALID_REQUEST` while the last new key takes over, or for a lead over 30 days
 */
export async function rotateSiteKey(
  db: Knex,
  encryptionKey: Buffer,
  name: string,
  leadSeconds = SAFE_LEAD_SECONDS,
): Promise<Site> {
  if (!Number.isInteger(leadSeconds) || leadSeconds < 0 || leadSeconds > LONGEST_LEAD_SECONDS) {
    throw new GeoError('INVALID_REQUEST', `The lead is a whole number of seconds from 0 to ${LONGEST_LEAD_SECONDS}`)
  }
  const { accessKey, secret } = newSiteKey(encryptionKey)
  const seconds = (times: number) => db.raw("now() + ? * interval '1 second'", [times * leadSeconds])
  const [row] = await db('geo_nodes')
    .whereRaw('lower(name) = lower(?)', [name])
    .whereRaw('(old_key_until is null or old_key_until < now())')
    .update({
      access_key: db.raw('coalesce(next_access_key, access_key)'),
      encrypted_secret_access_key: db.raw('coalesce(encrypted_next_secret_access_key, encrypted_secret_access_key)'),
      encrypted_secret_access_key_iv: db.raw(
        'coalesce(encrypted_next_secret_access_key_iv, encrypted_secret_access_key_iv)',
      ),
      next_access_key: accessKey,
      encrypted_next_secret_access_key: secret.ciphertext,
      encrypted_next_secret_access_key_iv: secret.iv,
      next_key_from: seconds(1),
      old_key_until: seconds(2),
      updated_at: db.fn.now(),
    })
    .returning('*')
  if (row) return toSite(row)
  await requireSite(db, name)
  throw new GeoError('INVALID_REQUEST', `The last new key of the site "${name}" has not taken over yet`)
}
