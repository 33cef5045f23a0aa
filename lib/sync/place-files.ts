import type { Digest } from '../blob/digest.ts'
import type { Replicable } from '../blob/replicable.ts'
import type { StoredCopy, StrayFile } from '../registry/marks.ts'
import type { ReceivedBlob } from '../transfer/blob-order.ts'
import type { PlaceTask } from '../transfer/place.ts'
import type { DownloadContext, SyncBatch } from './batch.ts'
import type { FailedBlob, Findings, PresentBlob } from './findings.ts'

/** Before the transaction in which they get their names: it is to be there where that one comes to nothing. */
export async function noteFiles(
  { tracking, leases }: DownloadContext,
  batch: SyncBatch,
  { received }: Findings,
): Promise<void> {
  const keys = new Map(received.map(({ id, key }) => [id, key]))
  await leases.noteFiles(
    tracking,
    batch.lease,
    batch.rows.map(({ id }) => keys.get(id) ?? null),
  )
}

/** A file that has its name, and what it was hashed to there, if it was. */
export type PlacedCopy = StoredCopy & { readonly digest: Digest | null }

/** What came of the files of a batch. */
export interface Outcome {
  readonly synced: readonly PlacedCopy[]
  readonly failed: readonly FailedBlob[]
  readonly occupied: readonly ReceivedBlob[]
  /** Of those that failed: files that may have got their names all the same. */
  readonly named: readonly StrayFile[]
}

/** Gives what has arrived its names. What is marked afterwards, besides what failed before; null where the lease has ended meanwhile. */
export async function place(
  { threads, stores }: DownloadContext,
  { replicable, lease }: SyncBatch,
  findings: Findings,
  names: PlaceTask['names'],
): Promise<Outcome | null> {
  const { checksum: algorithm, store } = replicable
  const { root, durable } = store
  const storeId = stores.idOf(replicable) ?? undefined
  const task = { root, durable, algorithm, names, blobs: findings.received, storeId, endsAt: lease.endsAt }
  const placed = findings.received.length > 0 ? await threads.place(task) : []
  if (!placed) return null
  const failed = [...findings.failed]
  const occupied: ReceivedBlob[] = []
  const named: StrayFile[] = []
  const there: (PresentBlob & { readonly digest?: Digest | null })[] = await stillPresent(replicable, findings.present)
  findings.received.forEach((blob, position) => {
    const ended = placed[position]
    if (ended?.outcome === 'placed') there.push({ ...blob, digest: ended.digest })
    else if (ended?.outcome === 'failed') {
      failed.push({ id: blob.id, code: ended.code, message: ended.message })
      if (ended.named) named.push({ id: blob.id, key: blob.key })
    } else occupied.push(blob)
  })
  const synced = there.flatMap(({ id, key, bytes, digest = null }) => {
    const rowVersion = findings.rowVersions.get(id)
    return rowVersion === undefined ? [] : [{ id, key, bytes, digest, rowVersion }]
  })
  return { synced, failed, occupied, named }
}

/** Those of the files that lay in their places already that no removal has taken since: the others are fetched after all. */
async function stillPresent({ store }: Replicable, present: readonly PresentBlob[]): Promise<PresentBlob[]> {
  const found = await Promise.all(present.map(({ key }) => store.stat(key)))
  return present.filter((_, position) => found[position])
}
