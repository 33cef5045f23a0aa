import type { Replicable } from '../blob/replicable.ts'
import type { Clock } from '../clock.ts'
import type { Lease } from '../lease.ts'
import type { SiteDirectory } from '../site.ts'
import { redirectHostsOf, type Site } from '../site-table.ts'
import type { ReceiveResult, WantedBlob } from './blob-order.ts'
import type { TransferThreads } from './threads.ts'
import { signAsMe } from './token.ts'

/** What the primary gets back is not held to a bandwidth: those limits are of secondaries. */
const UNLIMITED = Object.freeze({
  rate: new Float64Array(new SharedArrayBuffer(Float64Array.BYTES_PER_ELEMENT)),
  take: async (bytes: number) => bytes,
  giveBack: () => undefined,
})

/** Asks a secondary for its copy, signed for exactly that, and receives it beside its place. */
export async function fetchCopy(
  { sites, threads, clock, idleTimeoutMs }: CopyFetching,
  from: Site,
  replicable: Replicable,
  blob: WantedBlob,
  lease: Lease,
): Promise<ReceiveResult> {
  const { checksum: algorithm, store } = replicable
  const { root, durable } = store
  const task = {
    url: `${from.internalUrl}api/v4/geo/copies/${replicable.name}/${blob.id}`,
    replicableName: replicable.name,
    redirectHosts: redirectHostsOf(from),
    idleTimeoutMs,
    root,
    durable,
    // How long it is the primary has not recorded, and a secondary may say what it likes.
    keepsReserve: true,
    algorithm,
    blobs: [blob],
  }
  const scope = { replicable_name: replicable.name, replicable_id: blob.id }
  const authorization = () => signAsMe(sites, scope, clock)
  return threads.receive('one', task, { lease, bandwidth: UNLIMITED, authorization })
}

export interface CopyFetching {
  readonly sites: SiteDirectory
  readonly threads: TransferThreads
  readonly clock: Clock
  readonly idleTimeoutMs: number
}
