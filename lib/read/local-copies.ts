import type { FileHandle } from 'node:fs/promises'
import type { Knex } from 'knex'
import type { Digest } from '../blob/digest.ts'
import type { Replicable } from '../blob/replicable.ts'
import type { StoreIdentities } from '../blob/store-identity.ts'
import { GeoError, messageOf } from '../errors.ts'
import type { LoggerLike } from '../log.ts'
import { wakeVerification } from '../registry/registry-verification.ts'
import { type VerifiedCopy, verifiedCopy } from '../registry/verified-copy.ts'
import { openBlob } from '../transfer/serve-one.ts'

export interface OpenCopy {
  readonly file: FileHandle
  readonly digest: Digest | null
}

export interface LocalCopiesContext {
  readonly tracking: Knex
  readonly siteName: string
  readonly stores: StoreIdentities
  readonly logger: LoggerLike
  /** Rows wait to be verified. */
  verificationAsked(): void
}

/** The verified copies of a secondary, opened to be read. */
export class LocalCopies {
  readonly #context: LocalCopiesContext

  constructor(context: LocalCopiesContext) {
    this.#context = context
  }

  /**
   * The copy of a record under this key, or null where there is none to be trusted now. A verified copy that is not as it was
   * is reported and asked to be verified, which has it fetched again. Whatever is wrong here, the primary may still answer.
   */
  async open(replicable: Replicable, id: string, key: string): Promise<OpenCopy | null> {
    const { tracking, siteName, stores, logger } = this.#context
    try {
      const copy = await verifiedCopy(tracking, replicable, id, key)
      if (!copy || (await stores.problem(replicable, tracking, siteName))) return null
      return await this.#openVerified(replicable, id, key, copy)
    } catch (reason) {
      const code = reason instanceof GeoError ? reason.code : 'DATABASE_UNAVAILABLE'
      logger.warn({ code, replicable: replicable.name, id, reason: messageOf(reason) }, 'A local copy cannot be read')
      return null
    }
  }

  async #openVerified(replicable: Replicable, id: string, key: string, copy: VerifiedCopy): Promise<OpenCopy | null> {
    try {
      const file = await openBlob(replicable, id, key)
      const { size } = await file.stat()
      if (size === copy.bytes) return { file, digest: copy.digest }
      await file.close()
      throw new GeoError('VERIFICATION_MISMATCH', `The copy has ${size} bytes instead of ${copy.bytes}`)
    } catch (reason) {
      await wakeVerification(this.#context.tracking, replicable, [id])
      this.#context.verificationAsked()
      throw reason
    }
  }
}
