import type { RequestHandler, Router } from 'express'
import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import type { StoreIdentities } from '../blob/store-identity.ts'
import type { Clock } from '../clock.ts'
import type { LoggerLike } from '../log.ts'
import type { SiteDirectory } from '../site.ts'
import { Forwarder } from './forward.ts'
import { LocalCopies } from './local-copies.ts'
import { PrimaryBlobs } from './primary-blobs.ts'
import { type ReadOnlyOptions, readOnly } from './read-only.ts'
import { type ServeOptions, serveBlob } from './serve-blob.ts'

export interface ReadingContext {
  readonly main: Knex
  readonly tracking: Knex
  readonly sites: SiteDirectory
  readonly stores: StoreIdentities
  readonly clock: Clock
  readonly logger: LoggerLike
  readonly idleTimeoutMs: number
  /** Authorities to be trusted beside Node's own, as PEM. */
  readonly ca: readonly string[]
  /** The SDK's routes. */
  own(): Router
  /** Rows wait to be verified. */
  verificationAsked(): void
}

/** What people get of any site: files, and on a secondary a word on where to write. */
export interface Reading {
  serve<Row>(replicable: Replicable, options?: ServeOptions<Row>): RequestHandler
  readOnly(options?: ReadOnlyOptions): RequestHandler
  /** Ends the requests to the primary. */
  close(): Promise<void>
}

export function openReading(context: ReadingContext): Reading {
  const { sites, clock, logger, idleTimeoutMs, ca, own } = context
  const copies = new LocalCopies({ ...context, siteName: sites.siteName })
  const primaryBlobs = new PrimaryBlobs(sites, clock, idleTimeoutMs, ca)
  const forwarder = new Forwarder(idleTimeoutMs, ca)
  return Object.freeze({
    serve: <Row>(replicable: Replicable, options?: ServeOptions<Row>) =>
      serveBlob({ ...context, copies, primaryBlobs }, replicable, options),
    readOnly: (options?: ReadOnlyOptions) => readOnly({ sites, forwarder, logger, own }, options),
    close: async () => {
      await Promise.all([primaryBlobs.close(), forwarder.close()])
    },
  })
}
