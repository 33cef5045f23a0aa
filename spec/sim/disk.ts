import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { RESERVED_PREFIX } from '../../lib/blob/key.ts'
import { type Blob, blobOf } from './blob.ts'

const MARKER_NAME = '.geo-store.json'

/** The folder of a site, looked at and written from outside. */

export function readFiles(root: string): Map<string, Blob> {
  const files = new Map<string, Blob>()
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.name.startsWith(RESERVED_PREFIX)) continue
    const path = join(entry.parentPath, entry.name)
    files.set(relative(root, path), blobOf(readFileSync(path)))
  }
  return files
}

export function writeFile(root: string, key: string, blob: Blob | null): void {
  const path = join(root, key)
  if (!blob) {
    rmSync(path, { force: true })
    return
  }
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, blob.bytes)
}

/** What transfers have left that did not end. */
export function unfinishedFiles(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((path) => {
    const name = basename(path)
    return name.startsWith(RESERVED_PREFIX) && name !== MARKER_NAME
  })
}

/** All but the marker, so that the folder stays the store that the site knows. */
export function emptyFolder(root: string): void {
  for (const name of readdirSync(root)) {
    if (name !== MARKER_NAME) rmSync(join(root, name), { recursive: true })
  }
}
