/** A write of the host that was not acknowledged. */
export interface Refusal {
  readonly at: Date
  /** The row that it was of. */
  readonly what: string
  readonly reason: string
}

/** What a load came to: new blobs, by how many a second were asked for. */
export interface LoadReached {
  readonly asked: number
  readonly acknowledged: number
  readonly seconds: number
}

/** A summary for the result of a run. */
export interface Written {
  readonly acknowledged: number
  readonly refused: number
  /** New blobs a second, of those that were acknowledged, over all loads; null where there was none. */
  readonly perSecond: number | null
  readonly askedPerSecond: number | null
}

/** At which write something began. */
export interface Mark {
  readonly acknowledged: number
  readonly refused: number
  readonly loads: number
}

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
    const loads = this.loads.slice(mark.loads)
    const seconds = sum(loads, (load) => load.seconds)
    const perSecond = (total: number) => (seconds > 0 ? Number((total / seconds).toFixed(1)) : null)
    return {
      acknowledged: this.acknowledged - mark.acknowledged,
      refused: this.refused.length - mark.refused,
      perSecond: perSecond(sum(loads, (load) => load.acknowledged)),
      askedPerSecond: perSecond(sum(loads, (load) => load.asked * load.seconds)),
    }
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

/** For people. Less than half of what was asked for is another load than the one that was to be measured. */
export function writtenText({ acknowledged, refused, perSecond, askedPerSecond }: Written): string {
  const counts = `${acknowledged} writes acknowledged, ${refused} refused`
  if (perSecond === null || askedPerSecond === null) return counts
  const isFew = perSecond < askedPerSecond / 2
  return `${counts}; ${perSecond} of ${askedPerSecond} blobs a second${isFew ? ': LESS THAN HALF of what was asked for' : ''}`
}

function sum(loads: readonly LoadReached[], countOf: (load: LoadReached) => number): number {
  return loads.reduce((total, load) => total + countOf(load), 0)
}
