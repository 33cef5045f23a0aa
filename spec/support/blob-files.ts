import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Comparison, compareFolders } from '../../fixtures/demo/compare.ts'
import type { ForkedSite } from './forked-site.ts'

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

/** How the files of two sites differ, by names and bytes. */
export function compareBlobs(left: ForkedSite, right: ForkedSite): Promise<Comparison> {
  return compareFolders(left.blobsDir, right.blobsDir, () => undefined)
}
