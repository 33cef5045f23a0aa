import { randomUUID } from 'node:crypto'
import { constants, ftruncateSync, lstatSync, mkdirSync, openSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { confinedPath } from '../blob/confine.ts'
import { failureOf } from '../blob/disk-failure.ts'
import { type Hasher, hasherFor } from '../blob/hasher.ts'
import type { ChecksumAlgorithm } from '../blob/replicable.ts'
import { type ErrorCode, GeoError } from '../errors.ts'
import type { ReceivedBlob, ReceiveOutcome, WantedBlob } from './blob-order.ts'
import { HashedFile } from './hashed-file.ts'
import { PartFiles, TEMPORARY_PREFIX } from './part.ts'
import { DESTINATION_IS_FOLDER, removeQuietly } from './place.ts'

const OPEN_ATTEMPTS = 5
const READS_PER_TURN = 64

/**
 * A blob on its way into the store: written beside its place under a name of its own, hashed as it is written. Whatever goes
 * wrong with the disk ends as a failed outcome of this one blob.
 */
export class Arrival {
  readonly #root: string
  readonly #blob: WantedBlob
  readonly #algorithm: ChecksumAlgorithm | null
  readonly #readBack: boolean
  readonly #folders = new Set<string>()
  #path: string | null = null
  #parts: PartFiles | null = null
  #file: HashedFile | null = null
  #failure: { code: ErrorCode; message: string } | null = null
  /** How many bytes have been written, from the first one on. */
  bytes = 0

  /**
   * `storedBy`: each piece is read again as soon as it is written, so that what is hashed is what the file holds; by this algorithm
   * unless another is expected. Without it what comes is hashed, and whoever places the blob hashes what is stored: that is less
   * work for a small one.
   */
  constructor(root: string, blob: WantedBlob, { storedBy = null as ChecksumAlgorithm | null } = {}) {
    this.#root = root
    this.#blob = blob
    this.#algorithm = blob.expected?.algorithm ?? storedBy
    this.#readBack = storedBy !== null
  }

  /** Where its bytes lie until it is placed; null where nothing was begun. */
  get path(): string | null {
    return this.#path
  }

  /** Something is wrong with the disk or the place: there is no use in more bytes. */
  get failed(): boolean {
    return this.#failure !== null
  }

  get isOpen(): boolean {
    return this.#file !== null
  }

  /** Opens a new file under a random name, which does not outlive this transfer. `toHandOver`: handOver will be called. */
  async begin({ toHandOver = false } = {}): Promise<void> {
    const hasher = await this.#newHasher()
    const folder = this.#prepare()
    this.#try('Error creating temporary file', () => {
      if (folder === null) return
      this.#path = join(folder, `${TEMPORARY_PREFIX}${randomUUID()}`)
      const file = this.#open(folder, this.#path, constants.O_RDWR | constants.O_EXCL)
      this.#file = new HashedFile(file, hasher, { readBack: this.#readBack })
      // It changes nothing of an empty file but what ext4 does when it is closed.
      if (toHandOver) ftruncateSync(file, 0)
    })
  }

  /**
   * All is written: has the disk begin with it. ext4 does so when a file is closed that was truncated once, so the files of a
   * batch are allocated together and `finish` finds little to wait for (100 files of 10 KiB: 17 ms instead of 28). Elsewhere it
   * costs an open.
   */
  handOver(): void {
    this.#try('Error downloading file', () => {
      if (this.#path !== null) this.#file?.reopen(this.#path)
    })
  }

  /** The ETag of the part that an earlier transfer of this blob has left, or null. */
  partThere(replicableName: string): string | null {
    return this.#try('Error creating temporary file', () => this.#partFiles(replicableName).find()) ?? null
  }

  /** Opens the part file of a version, to be written from its first byte on: what is there already is written again. */
  async beginPart(replicableName: string, etag: string): Promise<void> {
    const hasher = await this.#newHasher()
    const folder = this.#prepare()
    this.#try('Error creating temporary file', () => {
      if (folder === null) return
      this.#parts = this.#partFiles(replicableName)
      this.#path = this.#parts.pathOf(etag)
      const file = this.#open(folder, this.#path, constants.O_RDWR | constants.O_NONBLOCK)
      this.#file = new HashedFile(file, hasher, { readBack: this.#readBack })
      // Its name can be reckoned, so what has it already need not be ours.
      if (!this.#file.isRegular) throw new GeoError('NOT_A_FILE', `${this.#path} is not a regular file`)
      this.#parts.note(etag)
    })
  }

  /**
   * Goes on with what lies in the part: hashes it, for what is verified is what is stored. The last byte is left out, so that
   * a whole part is asked for one byte and answered with 206 like any other. Stops early once `signal` aborts.
   */
  async rereadPart(signal: AbortSignal): Promise<void> {
    const upTo = Math.max(0, (this.#try('Error reading the part file', () => this.#file?.size) ?? 0) - 1)
    // Whoever began the part may have made the folders above it and not lived to sync them.
    if (this.#path !== null) this.#noteFoldersAbove(dirname(this.#path), this.#root)
    for (let reads = 1; this.bytes < upTo && !this.#failure && !signal.aborted; reads += 1) {
      this.bytes = this.#try('Error reading the part file', () => this.#file?.hashNext(upTo)) ?? this.bytes
      // Other transfers of this thread go on meanwhile.
      if (reads % READS_PER_TURN === 0) await nextTurn()
    }
  }

  async #newHasher(): Promise<Hasher | null> {
    return this.#algorithm && (await hasherFor(this.#algorithm))
  }

  #partFiles(replicableName: string): PartFiles {
    return new PartFiles(dirname(confinedPath(this.#root, this.#blob.key)), replicableName, this.#blob)
  }

  /** The folder that the file is to lie in, made where it was not there; null where it cannot be (GB.E.3). */
  #prepare(): string | null {
    return (
      this.#try('Skipping transfer as we cannot create the destination directory', () => {
        const path = confinedPath(this.#root, this.#blob.key)
        if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) {
          this.#failure = { code: 'NOT_A_FILE', message: DESTINATION_IS_FOLDER }
          return null
        }
        const folder = dirname(path)
        this.#makeFolder(folder)
        return folder
      }) ?? null
    )
  }

  #makeFolder(folder: string): void {
    const firstMade = mkdirSync(folder, { recursive: true })
    this.#folders.add(folder)
    if (firstMade === undefined) return
    // The name of a new folder lies in its parent, which has to be synced as well.
    this.#noteFoldersAbove(folder, dirname(firstMade))
  }

  #noteFoldersAbove(folder: string, top: string): void {
    for (let above = folder; above.length > top.length; above = dirname(above)) this.#folders.add(dirname(above))
  }

  #open(folder: string, path: string, flags: number): number {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return openSync(path, flags | constants.O_CREAT | constants.O_NOFOLLOW, 0o666)
      } catch (reason) {
        // A removal next to it may have taken the folder away again, for it was empty.
        if ((reason as NodeJS.ErrnoException).code !== 'ENOENT' || attempt === OPEN_ATTEMPTS) throw reason
        this.#makeFolder(folder)
      }
    }
  }

  write(chunk: Uint8Array): void {
    this.#try('Error downloading file', () => this.#file?.write(chunk, this.bytes))
    this.bytes += chunk.length
  }

  /** Compares, syncs and closes: the blob is whole and waits for its name. */
  finish(durable: boolean): ReceiveOutcome {
    let stored: ReceivedBlob['stored'] = null
    this.#try('Error downloading file', () => {
      const { expected } = this.#blob
      const hex = this.#file?.digestHex() ?? null
      if (this.#readBack && this.#file && this.#algorithm && hex !== null) {
        stored = { digest: { algorithm: this.#algorithm, hex }, version: this.#file.version }
      }
      if (expected && hex !== expected.hex) {
        this.#failure = { code: 'CHECKSUM_MISMATCH', message: 'Downloaded file checksum mismatch' }
      } else if (durable) this.#file?.sync()
      this.close()
    })
    if (this.#failure) return this.abandon(this.#failure.code, this.#failure.message)
    const received: ReceivedBlob = {
      outcome: 'received',
      id: this.#blob.id,
      key: this.#blob.key,
      temporaryPath: this.#path ?? '',
      notePath: this.#parts?.notePath ?? null,
      bytes: this.bytes,
      expected: this.#blob.expected,
      stored,
      folders: [...this.#folders],
    }
    return received
  }

  /** Ends without a file. An earlier failure of the disk is the cause, not what followed from it. */
  abandon(code: ErrorCode, message: string): ReceiveOutcome {
    const failed: ReceiveOutcome = { outcome: 'failed', id: this.#blob.id, ...(this.#failure ?? { code, message }) }
    // Where even that fails, the disk is full, read-only or worse, and the first cause says so already.
    this.#failure = null
    this.#try('Error closing temporary file', () => this.close())
    this.#failure = null
    this.#try('Error removing temporary file', () => {
      if (this.#path !== null) removeQuietly(this.#path)
      if (this.#parts !== null) removeQuietly(this.#parts.notePath)
    })
    return failed
  }

  /** Ends for now; what is there of a part stays. */
  close(): void {
    const file = this.#file
    this.#file = null
    file?.close()
  }

  #try<Result>(doing: string, act: () => Result): Result | undefined {
    if (this.#failure) return undefined
    try {
      return act()
    } catch (reason) {
      const { code, message } = failureOf(reason, this.#blob.key)
      this.#failure = { code: code === 'FILE_MISSING' ? 'STORAGE_ERROR' : code, message: `${doing}: ${message}` }
      return undefined
    }
  }
}
