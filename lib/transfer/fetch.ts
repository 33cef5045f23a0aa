import type { Replicable } from '../blob/replicable.ts'
import type { Clock } from '../clock.ts'
import { GeoError, messageOf } from '../errors.ts'
import type { Lease } from '../lease.ts'
import type { SiteDirectory } from '../site.ts'
import { redirectHostsOf } from '../site-table.ts'
import { traceTransfer } from '../tracing.ts'
import type { Bandwidth } from './bandwidth.ts'
import type { ReceiveResult, WantedBlob } from './blob-order.ts'
import type { TransferThreads } from './threads.ts'
import { digestOfIds, signAsMe, type TokenScope } from './token.ts'

/** Asks the primary for blobs, signed for exactly those. */
export class Fetcher {
  readonly #sites: SiteDirectory
  readonly #threads: TransferThreads
  readonly #bandwidth: Bandwidth
  readonly #clock: Clock
  readonly #idleTimeoutMs: number

  constructor(
    sites: SiteDirectory,
    threads: TransferThreads,
    bandwidth: Bandwidth,
    { clock, idleTimeoutMs }: { readonly clock: Clock; readonly idleTimeoutMs: number },
  ) {
    this.#sites = sites
    this.#threads = threads
    this.#bandwidth = bandwidth
    this.#clock = clock
    this.#idleTimeoutMs = idleTimeoutMs
  }

  /** Takes over what the operator allows this site now, also for transfers that run. */
  followLimit(): void {
    this.#bandwidth.limit(this.#sites.me?.transferBytesPerSecond ?? null)
  }

  /** Many small blobs with one request. @throws GeoError `NOT_SECONDARY`, `PRIMARY_UNKNOWN`, `SITE_UNKNOWN`, `SECRET_UNDECRYPTABLE` */
  async fetchMany(replicable: Replicable, blobs: readonly WantedBlob[], lease: Lease): Promise<ReceiveResult> {
    const digest = digestOfIds(blobs.map((blob) => blob.id))
    const scope = { replicable_name: replicable.name, replicable_ids_sha256: digest }
    return this.#fetch('many', replicable, '', scope, blobs, lease)
  }

  /** One blob of any size, over as many connections as it takes. Throws as fetchMany. */
  async fetchOne(replicable: Replicable, blob: WantedBlob, lease: Lease): Promise<ReceiveResult> {
    const scope = { replicable_name: replicable.name, replicable_id: blob.id }
    return this.#fetch('one', replicable, `/${blob.id}`, scope, [blob], lease)
  }

  async #fetch(
    how: 'one' | 'many',
    replicable: Replicable,
    path: string,
    scope: TokenScope,
    blobs: readonly WantedBlob[],
    lease: Lease,
  ): Promise<ReceiveResult> {
    const me = this.#sites.requireMe()
    const { primary } = this.#sites
    this.followLimit()
    if (me.primary) throw new GeoError('NOT_SECONDARY', 'Skipping transfer as this is not a Secondary node')
    if (!primary) {
      throw new GeoError('PRIMARY_UNKNOWN', 'Skipping transfer as there is no Primary node to download from')
    }
    const { checksum: algorithm, store } = replicable
    const { root, durable } = store
    const task = {
      url: `${primary.internalUrl}api/v4/geo/retrieve/${replicable.name}${path}`,
      replicableName: replicable.name,
      redirectHosts: redirectHostsOf(primary),
      idleTimeoutMs: this.#idleTimeoutMs,
      root,
      durable,
      algorithm,
      blobs,
    }
    const authorization = () => signAsMe(this.#sites, scope, this.#clock)
    const traceparents = blobs.flatMap(({ traceparent }) => traceparent ?? [])
    const { traceparent, end } = traceTransfer(replicable.name, traceparents, blobs.length)
    try {
      const main = { lease, bandwidth: this.#bandwidth, authorization }
      const result = await this.#threads.receive(how, { ...task, traceparent }, main)
      end(result.refusal ? `${result.refusal.code}: ${result.refusal.message}` : undefined)
      return result
    } catch (reason) {
      end(messageOf(reason))
      throw reason
    }
  }
}
