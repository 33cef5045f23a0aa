import type { Replicable } from '../blob/replicable.ts'
import type { Clock } from '../clock.ts'
import type { ErrorCode } from '../errors.ts'
import { inParallel } from '../in-parallel.ts'
import { type Draw, drawRecords, type SampleSize } from './draw.ts'
import type { VerificationWork } from './verify.ts'
import { CONFIDENCE, worstShare } from './worst-share.ts'

/** What a sample of the verified files of one type has shown. */
export interface SampleResult {
  readonly type: string
  /** Draws the same records again as long as the same are verified. */
  readonly seed: number
  /** How many verified files there are. */
  readonly total: number
  /** How many of them were hashed now. */
  readonly examined: number
  readonly bad: number
  /** With this confidence at most `worstShare` of all are bad: see worst-share.ts. */
  readonly confidence: number
  /** 0 to 1. */
  readonly worstShare: number
  /** The bad ones, at most 1,000 of them. They are failed now like any that verification finds bad, and heal as those do. */
  readonly badRecords: readonly BadRecord[]
}

export interface BadRecord {
  readonly id: string
  readonly code: ErrorCode
  readonly message: string
}

/** How far a sample is. */
export interface SampleProgress {
  readonly type: string
  /** Verified files that the draw has seen. */
  readonly seen: number
  readonly examined: number
  readonly bad: number
}

const RECORDS_PER_BATCH = 100
const MOST_BAD_NAMED = 1000
const WAIT_FOR_CAPACITY_MS = 250

/**
 * Hashes files drawn uniformly at random from the verified ones of a type, under the site's verification capacity, and records
 * the verdicts. Files that change or go meanwhile are left out.
 * @throws GeoError `STORE_NOT_MOUNTED`; the reason of the signal
 */
export async function sampleVerified(
  work: VerificationWork,
  replicable: Replicable,
  { size, seed }: { size: SampleSize; seed: number },
  { clock, signal, onProgress }: { clock: Clock; signal: AbortSignal; onProgress: (progress: SampleProgress) => void },
): Promise<SampleResult> {
  const draw: Draw = { total: 0 }
  const batches = inBatches(drawRecords(size, seed, (request) => work.draw(replicable, request), draw))
  const badRecords: BadRecord[] = []
  let examined = 0
  let bad = 0

  await inParallel(batches, work.limit(), async (ids) => {
    signal.throwIfAborted()
    let verdicts = await work.examine(replicable, ids)
    while (verdicts === null) {
      await clock.sleep(WAIT_FOR_CAPACITY_MS, signal)
      signal.throwIfAborted()
      verdicts = await work.examine(replicable, ids)
    }
    for (const verdict of verdicts) {
      if (verdict.outcome === 'disabled') continue
      examined += 1
      if (verdict.outcome === 'succeeded') continue
      bad += 1
      const { id, code, message } = verdict
      if (badRecords.length < MOST_BAD_NAMED) badRecords.push({ id, code, message })
    }
    onProgress({ type: replicable.name, seen: draw.total, examined, bad })
  })
  const { total } = draw
  const bound = worstShare({ examined, bad, total })
  return { type: replicable.name, seed, total, examined, bad, confidence: CONFIDENCE, worstShare: bound, badRecords }
}

async function* inBatches(drawn: AsyncGenerator<readonly string[]>): AsyncGenerator<readonly string[]> {
  for await (const ids of drawn) {
    for (let start = 0; start < ids.length; start += RECORDS_PER_BATCH)
      yield ids.slice(start, start + RECORDS_PER_BATCH)
  }
}
