import { stat } from 'node:fs/promises'
import { ifThere } from '../watcher.ts'
import type { SecondaryScene } from './scene.ts'

/** So long at most a file waits for the commit that names it, or for its final name, also on a machine under load. */
const NAMED_WITHIN_MS = 30_000

/**
 * Whether a file may be what was left in the midst of work that was broken off: a process that was killed told nobody of it, and from
 * a volume that has gone, or is read-only, nobody can remove it. It lies there until the sweep of the store, which takes what is a day old. Whatever was
 * last written at another time was left by mistake: that time stays, also where the whole store is copied to another disk.
 */
export async function isLeftBehind({ brokenOff }: SecondaryScene, path: string): Promise<boolean> {
  const found = await ifThere(() => stat(path))
  if (!found) return true
  return brokenOff.some((atMs) => atMs >= found.mtimeMs && atMs - found.mtimeMs <= NAMED_WITHIN_MS)
}
