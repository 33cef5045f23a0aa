import type { Replicable } from '../blob/replicable.ts'
import type { Clock } from '../clock.ts'
import { GeoError } from '../errors.ts'
import type { SiteDirectory } from '../site.ts'
import type { WantedBlob } from './blob-order.ts'
import type { ReceiveResult } from './receive.ts'
import type { TransferThreads } from './threads.ts'
import { digestOfIds, signRequest } from './token.ts'

/** Asks the primary for blobs, signed for exactly those. */
export class Fetcher {
  readonly #sites: SiteDirectory
  readonly #threads: TransferThreads
  readonly #clock: Clock
  readonly #idleTimeoutMs: number

  constructor(sites: SiteDirectory, threads: TransferThreads, clock: Clock, idleTimeoutMs: number) {
    this.#sites = sites
    this.#threads = threads
    this.#clock = clock
    this.#idleTimeoutMs = idleTimeoutMs
  }

  /** Many small blobs with one request. @throws GeoError `PRIMARY_UNKNOWN`, `SITE_UNKNOWN`, `SECRET_UNDECRYPTABLE` */
  async fetchMany(replicable: Replicable, blobs: readonly WantedBlob[], signal: AbortSignal): Promise<ReceiveResult> {
    const digest = digestOfIds(blobs.map((blob) => blob.id))
    const scope = { replicable_name: replicable.name, replicable_ids_sha256: digest }
    return this.#threads.receive('many', await this.#task(replicable, '', scope, blobs), signal)
  }

  /** One blob of any size. Throws as fetchMany. */
  async fetchOne(replicable: Replicable, blob: WantedBlob, signal: AbortSignal): Promise<ReceiveResult> {
    const scope = { replicable_name: replicable.name, replicable_id: blob.id }
    return this.#threads.receive('one', await this.#task(replicable, `/${blob.id}`, scope, [blob]), signal)
  }

  async #task(
    replicable: Replicable,
    path: string,
    scope: Parameters<typeof signRequest>[2],
    blobs: readonly WantedBlob[],
  ) {
    const me = this.#sites.requireMe()
    const { primary } = this.#sites
    if (!primary) throw new GeoError('PRIMARY_UNKNOWN', 'No site is marked as the primary')
    const { root, durable } = replicable.store
    return {
      url: `${primary.internalUrl}api/v4/geo/retrieve/${replicable.name}${path}`,
      authorization: await signRequest(me, this.#sites.secretOf(me), scope, this.#clock),
      idleTimeoutMs: this.#idleTimeoutMs,
      root,
      durable,
      blobs,
    }
  }
}
