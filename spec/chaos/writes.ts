/** A write of the host that was not acknowledged. */
export interface Refusal {
  readonly at: Date
  /** The row that it was of. */
  readonly what: string
  readonly reason: string
}

/** What a time came to: new blobs, by how many a second were asked for. */
export interface Reached {
  readonly asked: number
  readonly acknowledged: number
  readonly seconds: number
}

export interface LoadReached extends Reached {
  /** Set where so many blobs were to be written, as fast as they could be: nothing is measured beside it. */
  readonly fills: boolean
}

/** A summary for the result of a run. */
export interface Written {
  readonly acknowledged: number
  readonly refused: number
  /** New blobs a second, of those that were acknowledged, over all steady loads; null where there was none. */
  readonly perSecond: number | null
  readonly askedPerSecond: number | null
}

/** At which write something began. */
export interface Mark {
  readonly acknowledged: number
  readonly refused: number
  readonly loads: number
}

/** Of what is asked of a steady load, so much must be reached. */
const LEAST_SHARE = 0.8

/** What became of the writes of a host. */
export class Writes {
  /** Of every kind. */
  acknowledged = 0
  readonly refused: Refusal[] = []
  readonly loads: LoadReached[] = []

  mark(): Mark {
    return { acknowledged: this.acknowledged, refused: this.refused.length, loads: this.loads.length }
  }

  since(mark: Mark): Written {
    const loads = this.#steadySince(mark)
    const seconds = sum(loads, (load) => load.seconds)
    const perSecond = (total: number) => (seconds > 0 ? Number((total / seconds).toFixed(1)) : null)
    return {
      acknowledged: this.acknowledged - mark.acknowledged,
      refused: this.refused.length - mark.refused,
      perSecond: perSecond(sum(loads, (load) => load.acknowledged)),
      askedPerSecond: perSecond(sum(loads, (load) => load.asked * load.seconds)),
    }
  }

  /** Loads that came to another one than was to be carried, a sentence each: what held beside them is no evidence. */
  smallLoadsSince(mark: Mark): string[] {
    return this.#steadySince(mark).flatMap(tooSmall)
  }

  #steadySince({ loads }: Mark): LoadReached[] {
    return this.loads.slice(loads).filter(({ fills }) => !fills)
  }

  /** What was refused since then, a sentence for each reason: for whoever knows that the primary's database was well all the while. */
  refusalsSince({ refused }: Mark): string[] {
    const byReason = Map.groupBy(this.refused.slice(refused), ({ reason }) => reason)
    return [...byReason].flatMap(([reason, [first, ...others]]) => {
      if (!first) return []
      const times = others.length === 0 ? 'once' : `${others.length + 1} times`
      const when = first.at.toISOString().slice(11, 19)
      return [
        `the host could not write, ${times}, first ${first.what} at ${when}, while its database was well: ${reason}`,
      ]
    })
  }
}

/** What is to be said of a load that is too small for what was looked at beside it. */
export function tooSmall({ asked, acknowledged, seconds }: Reached): string[] {
  if (acknowledged >= LEAST_SHARE * asked * seconds) return []
  const reached = `${(acknowledged / seconds).toFixed(1)} of ${asked} blobs a second were written for ${seconds.toFixed(0)} s`
  return [`the load was too small for the check to mean anything: ${reached}`]
}

/** Of several that were asked for the same. */
export function sumOf(loads: readonly Reached[], asked: number): Reached {
  return {
    asked,
    acknowledged: sum(loads, ({ acknowledged }) => acknowledged),
    seconds: sum(loads, ({ seconds }) => seconds),
  }
}

/** For people. Less than half of what was asked for is another load than the one that was to be measured. */
export function writtenText({ acknowledged, refused, perSecond, askedPerSecond }: Written): string {
  const counts = `${acknowledged} writes acknowledged, ${refused} refused`
  if (perSecond === null || askedPerSecond === null) return counts
  const isFew = perSecond < askedPerSecond / 2
  return `${counts}; ${perSecond} of ${askedPerSecond} blobs a second${isFew ? ': LESS THAN HALF of what was asked for' : ''}`
}

function sum(loads: readonly Reached[], countOf: (load: Reached) => number): number {
  return loads.reduce((total, load) => total + countOf(load), 0)
}
