/** What lies under a key. */
export interface BlobStat {
  readonly bytes: number
}

/** The identity written into the root of a store, so that an empty mount point is never taken for mass loss. */
export interface StoreMarker {
  readonly site: string
  readonly store: string
}

/**
 * Where the blobs of a replicable lie. `localDisk` is the implementation here; bytes on a local disk are read and written by
 * worker threads through `root`, so the port itself carries no streams.
 */
export interface BlobStore {
  readonly kind: 'local-disk'
  /** Absolute path below which every key lies. */
  readonly root: string
  /** Whether files and folders are synced to disk before a row is called synced. */
  readonly durable: boolean
  /** Size of the blob, or null where there is none. Throws `INVALID_KEY`, `KEY_OUTSIDE_ROOT`, `NOT_A_FILE`. */
  stat(key: string): Promise<BlobStat | null>
  /** Removes the blob and folders left empty, never the root. False where there was none. Throws as `stat`. */
  remove(key: string): Promise<boolean>
  /** The marker in the root, or null where there is none (or no root). Throws `STORE_NOT_MOUNTED`, `STORAGE_ERROR`. */
  readMarker(): Promise<StoreMarker | null>
  /** Writes the marker unless there is one; returns the one that is there afterwards. Throws as `readMarker`. */
  claimMarker(marker: StoreMarker): Promise<StoreMarker>
}
