import { compareFolders } from '../../fixtures/demo/compare.ts'
import { warm } from './files.ts'
import type { BenchSites } from './sites.ts'

export interface Load {
  readonly count: number
  readonly bytes: number
}

/** For who measures more than the time. */
export interface Hooks {
  readonly onCommit?: () => Promise<unknown>
  /** Before the files are compared. */
  readonly onVerified?: () => Promise<unknown>
  /** Where the files lie on both sides, once they have been compared. */
  readonly onSame?: (from: string, to: string) => Promise<unknown>
}

/** From the commit of so many new rows to the last one's verification, in seconds. */
export async function replicate(
  sites: BenchSites,
  { count, bytes }: Load,
  { onCommit, onVerified, onSame }: Hooks = {},
): Promise<number> {
  const prepared = sites.prepare(`after-${sites.published}`, count, bytes)
  warm(sites.primary.blobsDir, prepared.keys)
  const beganAtMs = await sites.publish(prepared)
  await onCommit?.()
  const endedAtMs = await sites.untilAllVerified()
  await onVerified?.()
  const to = prepared.folder.replace(sites.primary.blobsDir, sites.secondary.blobsDir)
  await requireSame(prepared.folder, to, count)
  await onSame?.(prepared.folder, to)
  return (endedAtMs - beganAtMs) / 1000
}

/** Every byte is where it should be, and none besides. */
export async function requireSame(from: string, to: string, count: number): Promise<void> {
  const { equalFiles, differences } = await compareFolders(from, to, () => undefined)
  if (differences.length > 0) throw new Error(`${to} differs: ${differences.slice(0, 3).join(', ')}`)
  if (equalFiles !== count) throw new Error(`${equalFiles} of ${count} files are there`)
}
