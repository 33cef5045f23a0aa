import type { StatsFs } from 'node:fs'

/** How many bytes files may still take on a volume; null where its file system tells nothing of its size. */
export function freeBytesOf({ bavail, bfree, blocks, bsize }: StatsFs): number | null {
  // The superuser may also take what is kept back for him.
  return blocks === 0 ? null : (process.getuid?.() === 0 ? bfree : bavail) * bsize
}

const RESERVE_BYTES = 1024 ** 3
const RESERVE_SHARE = 0.05

/** What is kept free of a volume where somebody else says how much is to be stored: a gibibyte, or 5 % where that is less. */
export function reserveBytesOf({ blocks, bsize }: StatsFs): number {
  return Math.min(RESERVE_BYTES, blocks * bsize * RESERVE_SHARE)
}
