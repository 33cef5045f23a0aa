import type { BigIntStats } from 'node:fs'

/**
 * Names what a file holds now: one that was replaced has another inode, one that was written has another time. A file that is
 * written while it is looked at is told by its checksum alone.
 */
export function fileVersion({ ino, size, mtimeNs }: Pick<BigIntStats, 'ino' | 'size' | 'mtimeNs'>): string {
  return [ino, size, mtimeNs].map((part) => part.toString(36)).join('-')
}
