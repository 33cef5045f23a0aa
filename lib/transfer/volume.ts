import { lstatSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { MARKER_NAME } from '../blob/local-disk.ts'

/**
 * The volume that a store lies on, as it is when work on it begins. Whether it is the right one was asked when the work was claimed,
 * and it may go, or another take its place, at any time since: a thread asks again before each name that it gives.
 */
export class Volume {
  readonly #root: string
  readonly #mounted: string | null

  constructor(root: string, storeId: string) {
    this.#root = root
    this.#mounted = readStoreId(root) === storeId ? mountedAt(root) : null
  }

  get isAway(): boolean {
    return this.#mounted === null || mountedAt(this.#root) !== this.#mounted
  }
}

function mountedAt(root: string): string | null {
  const found = lstatSync(root, { throwIfNoEntry: false })
  return found ? `${found.dev}/${found.ino}` : null
}

function readStoreId(root: string): unknown {
  try {
    return (JSON.parse(readFileSync(join(root, MARKER_NAME), 'utf8')) as { store?: unknown }).store
  } catch {
    // None, or none of ours: the next claim says what is wrong with it.
    return null
  }
}
