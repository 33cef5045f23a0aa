import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { GeoError } from './errors.ts'

const TAG_BYTES = 16
const IV_BYTES = 12

export interface EncryptedSecret {
  /** Ciphertext followed by the tag. */
  readonly ciphertext: Buffer
  readonly iv: Buffer
}

/** AES-256-GCM under the host's key, bound to the access key, so that secrets cannot be swapped between rows. */
export function encryptSecret(secret: string, key: Buffer, accessKey: string): EncryptedSecret {
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(accessKey))
  return { ciphertext: Buffer.concat([cipher.update(secret, 'utf8'), cipher.final(), cipher.getAuthTag()]), iv }
}

/**
 * The secret, and which of the keys has encrypted it.
 * @throws GeoError `SECRET_UNDECRYPTABLE` where it is none of them
 */
export function openSecret(
  encrypted: EncryptedSecret,
  keys: readonly Buffer[],
  accessKey: string,
): { readonly secret: string; readonly by: number } {
  let failure: unknown
  for (const [by, key] of keys.entries()) {
    try {
      return { secret: decryptSecret(encrypted, key, accessKey), by }
    } catch (reason) {
      failure ??= reason
    }
  }
  throw failure
}

/** @throws GeoError `SECRET_UNDECRYPTABLE` where the key is another than the one that encrypted */
export function decryptSecret({ ciphertext, iv }: EncryptedSecret, key: Buffer, accessKey: string): string {
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES })
      .setAAD(Buffer.from(accessKey))
      .setAuthTag(ciphertext.subarray(-TAG_BYTES))
    return Buffer.concat([decipher.update(ciphertext.subarray(0, -TAG_BYTES)), decipher.final()]).toString('utf8')
  } catch (reason) {
    const message =
      'Error decrypting the Geo secret from the database. Check that the primary and secondary have the same encryptionKey.'
    throw new GeoError('SECRET_UNDECRYPTABLE', message, { cause: reason })
  }
}
