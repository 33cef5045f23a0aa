import type { Knex } from 'knex'
import { bounded } from './databases.ts'
import { type EncryptedSecret, encryptSecret, openSecret } from './secret.ts'
import type { SiteKey } from './site-key.ts'
import { listSites } from './site-table.ts'

/**
 * Encrypts the keys of all sites with the first of these, which any of them decrypts. The keys themselves stay as they are, so nothing
 * that is signed with them is refused: whoever reads a row needs the new encryption key from then on, or both. Run it against the
 * primary's database. Returns how many sites there were to change; all of them or, where one cannot be decrypted, none.
 * @throws GeoError `SECRET_UNDECRYPTABLE`
 */
export function reencryptSites(db: Knex, encryptionKeys: readonly Buffer[]): Promise<number> {
  const [first] = encryptionKeys
  if (!first) throw new TypeError('There is no key to encrypt with')
  const anew = ({ secret, accessKey }: SiteKey): EncryptedSecret | null => {
    const opened = openSecret(secret, encryptionKeys, accessKey)
    return opened.by === 0 ? null : encryptSecret(opened.secret, first, accessKey)
  }
  return bounded(db, async (trx) => {
    let changed = 0
    for (const site of await listSites(trx, { forUpdate: true })) {
      const own = anew(site)
      const next = site.nextKey && anew(site.nextKey)
      if (!own && !next) continue
      await trx('geo_nodes')
        .where({ id: site.id })
        .update({
          ...(own && { encrypted_secret_access_key: own.ciphertext, encrypted_secret_access_key_iv: own.iv }),
          ...(next && {
            encrypted_next_secret_access_key: next.ciphertext,
            encrypted_next_secret_access_key_iv: next.iv,
          }),
          updated_at: trx.fn.now(),
        })
      changed += 1
    }
    return changed
  })
}
