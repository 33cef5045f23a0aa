import { lstatSync } from 'node:fs'
import { readStoreMarker } from '../blob/store-marker.ts'

/**
 * The volume that a store lies on, as it is when work on it begins. Whether it is the right one was asked when the work was claimed,
 * and it may go, or another take its place, at any time since: a thread asks again before each name that it gives.
 */
export class Volume {
  readonly #root: string
  readonly #mounted: string | null

  private constructor(root: string, mounted: string | null) {
    this.#root = root
    this.#mounted = mounted
  }

  static async of(root: string, storeId: string): Promise<Volume> {
    return new Volume(root, (await isStore(root, storeId)) ? mountedAt(root) : null)
  }

  get isAway(): boolean {
    return this.#mounted === null || mountedAt(this.#root) !== this.#mounted
  }
}

function mountedAt(root: string): string | null {
  const found = lstatSync(root, { throwIfNoEntry: false })
  return found ? `${found.dev}/${found.ino}` : null
}

async function isStore(root: string, storeId: string): Promise<boolean> {
  try {
    return (await readStoreMarker(root))?.store === storeId
  } catch {
    // None of ours: the next claim says what is wrong with it.
    return false
  }
}
