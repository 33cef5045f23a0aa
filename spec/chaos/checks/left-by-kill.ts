import { stat } from 'node:fs/promises'
import { ifThere } from '../watcher.ts'
import type { SecondaryScene } from './scene.ts'

/** So long at most a file waits for the commit that names it, or for its final name, also on a machine under load. */
const NAMED_WITHIN_MS = 30_000

/**
 * Whether a file may be what a process left that was killed in the midst of its work: nobody else knows of it, so it lies there until
 * the sweep of the store, which takes what is a day old. Whatever was last touched at another time was left by mistake.
 */
export async function isLeftByKill({ kills }: SecondaryScene, path: string): Promise<boolean> {
  const found = await ifThere(() => stat(path))
  if (!found) return true
  return kills.some((killedAtMs) => killedAtMs >= found.ctimeMs && killedAtMs - found.ctimeMs <= NAMED_WITHIN_MS)
}
