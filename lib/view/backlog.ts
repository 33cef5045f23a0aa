/** Whether more arrives than is done, from what the metrics job saw of a secondary's backlog in the last minutes. */

/** Kept in the status of the site from one gathering to the next. Oldest first; moments in milliseconds since the epoch. */
export interface Backlog {
  readonly samples: readonly BacklogSample[]
  readonly fallingBehind: boolean
}

export interface BacklogSample {
  readonly atMs: number
  /** Blobs that wait for their first attempt, to be fetched or to be verified. */
  readonly waiting: number
}

export const EMPTY_BACKLOG: Backlog = Object.freeze({ samples: [], fallingBehind: false })

const WINDOW_MS = 10 * 60_000
const APART_MS = 30_000
const LEAST_GROWTH = 10
const LEAST_GROWTH_SHARE = 0.1

/**
 * It begins when the backlog has grown through all of ten minutes, each third of them above the one before and now the highest,
 * and ends only when the last third is no higher than the first or nothing waits: a backlog that goes up and down says neither.
 * Where no work was possible (a pause, a primary that is away) the ten minutes begin anew.
 */
export function followBacklog(before: Backlog, sample: BacklogSample, workIsPossible: boolean): Backlog {
  if (!workIsPossible) return EMPTY_BACKLOG
  const samples = withSample(before.samples, sample)
  const [first, second, third] = thirds(samples, sample.atMs)
  if (sample.waiting === 0) return { samples, fallingBehind: false }
  if (first === null || second === null || third === null) return { samples, fallingBehind: before.fallingBehind }
  if (before.fallingBehind) return { samples, fallingBehind: third > first }
  const highest = Math.max(...samples.map(({ waiting }) => waiting))
  const grows = first < second && second < third && sample.waiting >= highest
  return { samples, fallingBehind: grows && third - first >= Math.max(LEAST_GROWTH, first * LEAST_GROWTH_SHARE) }
}

/** What an earlier gathering has stored, whichever version it was. */
export function parseBacklog(stored: unknown): Backlog {
  const { samples, fallingBehind } = (stored ?? {}) as { samples?: unknown; fallingBehind?: unknown }
  if (!Array.isArray(samples)) return EMPTY_BACKLOG
  const isSample = (sample: Partial<BacklogSample> | null) =>
    Number.isFinite(sample?.atMs) && Number.isFinite(sample?.waiting)
  return { samples: samples.filter(isSample), fallingBehind: fallingBehind === true }
}

function withSample(samples: readonly BacklogSample[], sample: BacklogSample): BacklogSample[] {
  // Another process may have gathered before, by a clock that is ahead of this one's.
  const kept = samples.filter(({ atMs }) => atMs <= sample.atMs && atMs >= sample.atMs - WINDOW_MS)
  const last = kept.at(-1)
  return last && sample.atMs - last.atMs < APART_MS ? kept : [...kept, sample]
}

/** The means of the three parts of the window; null where nothing was seen. */
function thirds(samples: readonly BacklogSample[], nowMs: number): [number | null, number | null, number | null] {
  const mean = (back: number) => {
    const [fromMs, toMs] = [nowMs - ((back + 1) * WINDOW_MS) / 3, nowMs - (back * WINDOW_MS) / 3]
    const within = samples.filter(({ atMs }) => (back === 2 ? atMs >= fromMs : atMs > fromMs) && atMs <= toMs)
    return within.length === 0 ? null : within.reduce((sum, { waiting }) => sum + waiting, 0) / within.length
  }
  return [mean(2), mean(1), mean(0)]
}
