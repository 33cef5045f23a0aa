import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Comparison, compareFolders } from '../../fixtures/demo/compare.ts'
import type { ForkedSite } from './forked-site.ts'

const POLL_MS = 10

/** The bytes of a site's file, or null where it has none under that key. */
export async function bytesOf(site: ForkedSite, key: string): Promise<Buffer | null> {
  return readFile(join(site.blobsDir, key)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
}

/** As a bad disk would: one byte other than it was, size and everything else the same. */
export async function spoilByte(site: ForkedSite, key: string): Promise<void> {
  const path = join(site.blobsDir, key)
  const bytes = await readFile(path)
  const middle = Math.floor(bytes.length / 2)
  bytes[middle] = (bytes[middle] ?? 0) ^ 0xff
  await writeFile(path, bytes)
  if ((await stat(path)).size !== bytes.length) throw new Error(`${path} has another size than before`)
}

const SAME_WITHIN_MS = 10_000

/**
 * How the files of two sites differ, by names and bytes, once they do not, or at last. A file goes before the folders that it
 * leaves empty: what is gone may take a moment more to be gone without a trace.
 */
export async function comparedBlobs(left: ForkedSite, right: ForkedSite): Promise<Comparison> {
  const deadline = performance.now() + SAME_WITHIN_MS
  for (;;) {
    const comparison = await compareBlobs(left, right)
    if (comparison.differences.length === 0 || performance.now() > deadline) return comparison
    await sleep(POLL_MS)
  }
}

/** How they differ at this moment. */
export function compareBlobs(left: ForkedSite, right: ForkedSite): Promise<Comparison> {
  return compareFolders(left.blobsDir, right.blobsDir, () => undefined)
}
