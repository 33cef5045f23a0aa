import type { Knex } from 'knex'
import { run } from './databases.ts'
import { GeoError } from './errors.ts'

/**
 * Which primary a request, or a write of an event, belongs to. Every promotion begins an epoch; what is of an earlier one is refused,
 * and a primary that hears of a later one is fenced: it serves nothing any more.
 */

/** Who writes an event, and in which epoch it takes itself for the primary. */
export interface Writer {
  readonly siteName: string
  readonly epoch: number
}

/**
 * Each site has numbers of its own: two that are promoted and do not know of each other are not of the same epoch. So there are no more
 * sites, and no two whose ids are equal modulo this one.
 */
export const MOST_SITES = 1000

/** The epoch that a promotion of a site begins, where all known ones are at most `known`. */
export function nextEpoch(known: number, siteId: string): number {
  return (Math.floor(known / MOST_SITES) + 1) * MOST_SITES + Number(BigInt(siteId) % BigInt(MOST_SITES))
}

/** Nobody misses so many promotions: a later number was made up. Each leaves room for as many again, so that none runs out of numbers. */
const MOST_MISSED = 100

/** Whether another site may know of this epoch, where `known` is the latest in the table of this one. */
export function isCredible(epoch: number, known: number): boolean {
  return epoch < (Math.floor(known / MOST_SITES) + 1 + MOST_MISSED) * MOST_SITES
}

/** A later epoch never gives way to an earlier one. */
export async function fenceSite(db: Knex, siteName: string, epoch: number): Promise<void> {
  await run(
    db,
    `update geo_nodes set fenced_by_epoch = ?, fenced_at = now()
     where name = ? and "primary" and coalesce(fenced_by_epoch, 0) < ?`,
    [epoch, siteName, epoch],
  )
}

/** What `geo_admit_write` raises. */
const REFUSALS = Object.freeze({ P0E01: 'STALE_EPOCH', P0E02: 'READ_ONLY_MODE' } as const)

/** An error as any library of a host reports it: PostgreSQL's code lies in it, or in what caused it. */
function refusalIn(reason: unknown): GeoError | null {
  for (let error = reason; error instanceof Error; error = error.cause) {
    const { code } = error as { code?: unknown }
    if (code !== 'P0E01' && code !== 'P0E02') continue
    // Knex puts the statement in front.
    const message = error.message.split(' - ').at(-1) ?? error.message
    return new GeoError(REFUSALS[code], message, { cause: reason })
  }
  return null
}

/**
 * Runs what writes an event of the host.
 * @throws GeoError `STALE_EPOCH`, `READ_ONLY_MODE`; anything else as it is
 */
export async function admitted<Result>(write: () => Promise<Result>): Promise<Result> {
  try {
    return await write()
  } catch (reason) {
    throw refusalIn(reason) ?? reason
  }
}
