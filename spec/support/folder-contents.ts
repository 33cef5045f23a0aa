import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'

/** What lies below a folder: each entry's path, with a digest of the bytes where it is a file. */
export async function folderContents(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  const described = entries.map(async (entry) => {
    const path = join(entry.parentPath, entry.name)
    if (!entry.isFile()) return `${relative(root, path)}/`
    const digest = createHash('sha256')
      .update(await readFile(path))
      .digest('hex')
    return `${relative(root, path)} ${digest.slice(0, 16)}`
  })
  return (await Promise.all(described)).sort()
}
