import { randomBytes } from 'node:crypto'
import { type EncryptedSecret, encryptSecret } from './secret.ts'

/** What a site signs with. The secret stays encrypted here. */
export interface SiteKey {
  readonly accessKey: string
  readonly secret: EncryptedSecret
}

/** A key that takes over from another. Milliseconds since 1970. */
export interface NextSiteKey extends SiteKey {
  /** The site signs with it from then on. It is good before. */
  readonly fromMs: number
  /** Until then the one before is good as well. */
  readonly oldUntilMs: number
}

/** The key of a site, and the one that takes over from it. */
export interface SiteKeys extends SiteKey {
  /** Null where the key was never changed. */
  readonly nextKey: NextSiteKey | null
}

/** Of geo_nodes. Those of the next key are all null or none. */
export interface SiteKeyColumns {
  access_key: string
  encrypted_secret_access_key: Buffer
  encrypted_secret_access_key_iv: Buffer
  next_access_key: string | null
  encrypted_next_secret_access_key: Buffer | null
  encrypted_next_secret_access_key_iv: Buffer | null
  next_key_from: Date | null
  old_key_until: Date | null
}

export function keysOf(row: SiteKeyColumns): SiteKeys {
  return {
    accessKey: row.access_key,
    secret: { ciphertext: row.encrypted_secret_access_key, iv: row.encrypted_secret_access_key_iv },
    nextKey: nextKeyOf(row),
  }
}

function nextKeyOf(row: SiteKeyColumns): NextSiteKey | null {
  const { next_access_key: accessKey, next_key_from: from, old_key_until: oldUntil } = row
  const { encrypted_next_secret_access_key: ciphertext, encrypted_next_secret_access_key_iv: iv } = row
  if (!accessKey || !ciphertext || !iv || !from || !oldUntil) return null
  return Object.freeze({
    accessKey,
    secret: { ciphertext, iv },
    fromMs: from.getTime(),
    oldUntilMs: oldUntil.getTime(),
  })
}

export function newSiteKey(encryptionKey: Buffer): SiteKey {
  const accessKey = randomBytes(15).toString('base64url')
  return { accessKey, secret: encryptSecret(randomBytes(30).toString('base64url'), encryptionKey, accessKey) }
}
