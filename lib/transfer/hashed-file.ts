import { closeSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs'
import type { Hasher } from '../blob/hasher.ts'
import { READ_UNFOLLOWED } from '../blob/unfollowed.ts'
import { GeoError } from '../errors.ts'
import { fileVersion } from './file-version.ts'

const READ_BYTES = 128 * 1024

/** An open file that is written, or read, from its first byte on, and hashed on the way. Fails as the file system does. */
export class HashedFile {
  readonly #hasher: Hasher | null
  readonly #readBack: boolean
  #file: number | null
  #chunk: Buffer | null = null
  #hashed = 0

  /**
   * Takes over an open file. `readBack`: each piece is read again as soon as it is written, so that what is hashed is what the file
   * holds. Without it what is written is hashed.
   */
  constructor(file: number, hasher: Hasher | null, { readBack }: { readonly readBack: boolean }) {
    this.#file = file
    this.#hasher = hasher
    this.#readBack = readBack
  }

  get isRegular(): boolean {
    return fstatSync(this.#open).isFile()
  }

  get size(): number {
    return fstatSync(this.#open).size
  }

  /** Which version of the file it is (file-version.ts). */
  get version(): string {
    return fileVersion(fstatSync(this.#open, { bigint: true }))
  }

  /** Hashes the next piece of what the file holds, and no further than `upTo`. Returns up to where all is hashed now. */
  hashNext(upTo: number): number {
    this.#chunk ??= Buffer.allocUnsafe(READ_BYTES)
    const wanted = Math.min(this.#chunk.length, upTo - this.#hashed)
    const read = readSync(this.#open, this.#chunk, 0, wanted, this.#hashed)
    if (read === 0) throw new GeoError('STORAGE_ERROR', 'The file became shorter')
    this.#hasher?.update(this.#chunk.subarray(0, read))
    this.#hashed += read
    return this.#hashed
  }

  /** Positions are explicit, for another process may be at the same part. */
  write(piece: Uint8Array, position: number): void {
    for (let written = 0; written < piece.length; ) {
      written += writeSync(this.#open, piece, written, piece.length - written, position + written)
    }
    const end = position + piece.length
    if (this.#readBack) while (this.#hashed < end) this.hashNext(end)
    else this.#hasher?.update(piece)
  }

  /** Closes it, and opens it again to be synced. */
  reopen(path: string): void {
    this.close()
    this.#file = openSync(path, READ_UNFOLLOWED)
  }

  /** Null without a hasher. Ends it. */
  digestHex(): string | null {
    return this.#hasher?.digestHex() ?? null
  }

  sync(): void {
    fsyncSync(this.#open)
  }

  close(): void {
    const file = this.#file
    // Also where that fails, as on a full NFS, its number is free, and may be another's at once.
    this.#file = null
    if (file !== null) closeSync(file)
  }

  get #open(): number {
    if (this.#file === null) throw new GeoError('STORAGE_ERROR', 'The file is closed')
    return this.#file
  }
}
