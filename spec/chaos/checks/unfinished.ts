import { join } from 'node:path'
import { ownFilesBelow } from '../watcher.ts'
import { isLeftBehind } from './left-behind.ts'
import type { Check } from './scene.ts'

/** In the root of each store, for good. */
const MARKER = '.geo-store.json'

export const unfinished: Check = {
  name: 'unfinished',
  promise: 'no temporary or part file stays, but for those of work that was broken off, which wait for the sweep',
  async look({ secondaries }) {
    const found: string[] = []
    for (const secondary of secondaries) {
      for (const file of await ownFilesBelow(secondary.blobsDir)) {
        if (file === MARKER || (await isLeftBehind(secondary, join(secondary.blobsDir, file)))) continue
        found.push(`${secondary.name}: ${file} is left`)
      }
    }
    return found
  },
}
