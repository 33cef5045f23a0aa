import type { Knex } from 'knex'
import type { Signals } from './signals.ts'
import { addThroughput, type Done, LAG_BOUNDS_S, type ThroughputKind } from './throughput-table.ts'

interface Tally {
  blobs: number
  bytes: number
  lagCounts: number[] | null
}

/**
 * What this process has done, kept until it is added to the site's table. A process that dies takes what it has not told yet
 * with it, at most a few seconds' worth: rates and lags are for people, no decision rests on them.
 */
export class Throughput {
  #tallies = new Map<string, Tally>()

  constructor(signals: Signals) {
    signals.on('blob:synced', ({ type, bytes, fetched }) => this.#count(type, 'synced', fetched ? bytes : 0))
    signals.on('blob:verified', ({ type, lagSeconds }) => this.#countVerified(type, lagSeconds))
    signals.on('blob:failed', ({ type }) => this.#count(type, 'failed'))
    signals.on('blob:removed', ({ type }) => this.#count(type, 'removed'))
  }

  /** Adds it to the table. What could not be added is kept for the next time. */
  async flush(db: Knex): Promise<void> {
    const tallies = this.#tallies
    if (tallies.size === 0) return
    this.#tallies = new Map()
    try {
      await addThroughput(db, [...tallies].map(doneOf))
    } catch (reason) {
      for (const [key, tally] of tallies) this.#add(key, tally)
      throw reason
    }
  }

  #count(type: string, kind: ThroughputKind, bytes = 0): void {
    const tally = this.#tallyOf(`${kind} ${type}`)
    tally.blobs += 1
    tally.bytes += bytes
  }

  #countVerified(type: string, lagSeconds: number | null): void {
    this.#count(type, 'verified')
    if (lagSeconds === null) return
    const bound = LAG_BOUNDS_S.findIndex((bound) => lagSeconds <= bound)
    const bucket = bound === -1 ? LAG_BOUNDS_S.length : bound
    const tally = this.#tallyOf(`verified ${type}`)
    tally.lagCounts ??= Array(LAG_BOUNDS_S.length + 1).fill(0)
    tally.lagCounts[bucket] = (tally.lagCounts[bucket] ?? 0) + 1
  }

  #tallyOf(key: string): Tally {
    const tally = this.#tallies.get(key) ?? { blobs: 0, bytes: 0, lagCounts: null }
    this.#tallies.set(key, tally)
    return tally
  }

  #add(key: string, { blobs, bytes, lagCounts }: Tally): void {
    const tally = this.#tallyOf(key)
    tally.blobs += blobs
    tally.bytes += bytes
    if (lagCounts) tally.lagCounts = lagCounts.map((count, position) => count + (tally.lagCounts?.[position] ?? 0))
  }
}

function doneOf([key, tally]: [string, Tally]): Done {
  const [kind, type] = key.split(' ') as [ThroughputKind, string]
  return { type, kind, ...tally }
}
