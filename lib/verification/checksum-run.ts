import type { Digest } from '../blob/digest.ts'
import type { DiskFailure } from '../blob/disk-failure.ts'
import type { ErrorCode } from '../errors.ts'

/**
 * What goes to a checksum thread and comes back, in few objects: what is sent is copied, and copying a hundred files as a hundred
 * objects each way costs the main thread and theirs as much as reading them.
 */

/** A file to be hashed. */
export interface ChecksumTask {
  readonly root: string
  readonly key: string
  /** All of them in one read, so that they are of the same bytes. */
  readonly algorithms: readonly Digest['algorithm'][]
}

export type ChecksumResult =
  | { readonly ok: true; readonly digests: readonly Digest[]; readonly bytes: number }
  | { readonly ok: false; readonly code: ErrorCode; readonly message: string }

/** Files in a row of one root, hashed alike. */
export interface ChecksumGroup {
  readonly root: string
  readonly algorithms: readonly Digest['algorithm'][]
  readonly keys: readonly string[]
}

export interface ChecksumRun {
  readonly groups: readonly ChecksumGroup[]
  /** Shared by all threads that are at these files: whose turn is next, and how many KiB have been hashed, rounded up for each. */
  readonly turns: Int32Array
  /** No file is begun after so many. */
  readonly mostKiB: number
}

/** Of the files whose turn a thread has taken, in that order. */
export interface ChecksumReply {
  readonly positions: number[]
  /** One for each of its algorithms, for each file; none for one that could not be hashed. */
  readonly hexes: string[]
  /** -1 for one that could not be hashed. */
  readonly bytes: number[]
  readonly failures: DiskFailure[]
}

const NEXT = 0
const KIB_DONE = 1

export function noTurns(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT))
}

/** Whose turn it is: a position that nobody else gets. Null where enough has been hashed or nothing is left. */
export function takeTurn({ turns, mostKiB }: Pick<ChecksumRun, 'turns' | 'mostKiB'>, count: number): number | null {
  if (Atomics.load(turns, KIB_DONE) >= mostKiB) return null
  const position = Atomics.add(turns, NEXT, 1)
  return position < count ? position : null
}

// More than any run begins another file after, and so little that the count cannot turn over.
const MOST_COUNTED_KIB = 1024 * 1024

export function countBytes({ turns }: Pick<ChecksumRun, 'turns'>, bytes: number): void {
  Atomics.add(turns, KIB_DONE, Math.min(Math.ceil(bytes / 1024), MOST_COUNTED_KIB))
}

export function groupsOf(tasks: readonly ChecksumTask[]): ChecksumGroup[] {
  const groups: (ChecksumGroup & { readonly keys: string[] })[] = []
  for (const { root, key, algorithms } of tasks) {
    const last = groups.at(-1)
    if (last?.root === root && last.algorithms.join() === algorithms.join()) last.keys.push(key)
    else groups.push({ root, algorithms, keys: [key] })
  }
  return groups
}

/** Puts each result of a reply in its place. */
export function placeResults(
  { positions, hexes, bytes, failures }: ChecksumReply,
  tasks: readonly ChecksumTask[],
  results: (ChecksumResult | undefined)[],
): void {
  let hex = 0
  let failed = 0
  for (const [at, position] of positions.entries()) {
    const size = bytes[at] ?? -1
    const failure = size < 0 ? failures[failed++] : undefined
    if (failure) {
      results[position] = { ok: false, ...failure }
      continue
    }
    const algorithms = tasks[position]?.algorithms ?? []
    const digests = algorithms.map((algorithm): Digest => ({ algorithm, hex: hexes[hex++] ?? '' }))
    results[position] = { ok: true, digests, bytes: size }
  }
}
