import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Knex } from 'knex'
import { openPublisher } from '../support/publisher.ts'
import { startTwoSites, type TwoSites } from '../support/two-sites.ts'
import { openDatabases } from './database.ts'
import { writeFile } from './files.ts'
import type { Bench } from './measurement.ts'

const LOOK_EVERY_MS = 100
const STALL_LIMIT_MS = 120_000

/** Blobs that lie on the primary's disk already. */
export interface Prepared {
  readonly keys: readonly string[]
  /** Where they lie below the store. */
  readonly folder: string
}

/** Two processes of widget-app on databases of their own, set as they come: what is committed is on the disk. */
export interface BenchSites extends TwoSites {
  /** Writes so many files below a folder of that name, a hundred to a folder, and waits until the disk has them. No row names them yet. */
  prepare(name: string, count: number, bytes: number): Prepared
  /** Inserts a row for each file, in one transaction, and tells the other site. Returns when that was committed, as epoch in ms. */
  publish(prepared: Prepared): Promise<number>
  /** How many rows have been inserted so far. */
  readonly published: number
  /** Resolves when the secondary has a verified copy for each of them. Returns when the last one was verified, as epoch in ms. */
  untilAllVerified(): Promise<number>
  close(): Promise<void>
}

export interface SitesOptions {
  /** More environment variables of both processes. */
  readonly environment?: Readonly<Record<string, string>>
  readonly secondaryEnvironment?: Readonly<Record<string, string>>
  /** Puts something between the sites: given the primary's URL, it returns the one that the secondary is to ask. */
  readonly between?: (primaryUrl: string) => Promise<string>
}

export async function openSites(bench: Bench, options: SitesOptions = {}): Promise<BenchSites> {
  const undo: (() => Promise<unknown>)[] = []
  const close = async (): Promise<void> => {
    for (const step of undo.toReversed()) await step()
  }
  try {
    const databases = await openDatabases()
    undo.push(() => databases.destroy())
    const folder = await bench.folders.fresh('sites')
    const sites = await startTwoSites({ flags: { widgets: true, gadgets: true }, databases, folder, ...options })
    undo.push(() => sites.stop())
    const publisher = openPublisher(sites)
    undo.push(() => publisher.close())
    let published = 0
    return {
      ...sites,
      prepare(name, count, bytes) {
        const keys = Array.from({ length: count }, (_, number) => `${name}/${Math.floor(number / 100)}/${number}.bin`)
        const folder = join(sites.primary.blobsDir, name)
        for (const [number, key] of keys.entries()) writeFile(join(sites.primary.blobsDir, key), bytes, number)
        // Else the disk is still busy with them while the time runs, for us and not for peers, whose files have lain there for longer.
        execFileSync('sync', ['-f', folder])
        return { keys, folder }
      },
      async publish({ keys }) {
        let committedAtMs = 0
        const rows = keys.map((key) => ({ name: key, file_path: key }))
        await publisher.publish('widgets', rows, () => {
          committedAtMs = Date.now()
        })
        published += keys.length
        return committedAtMs
      },
      get published() {
        return published
      },
      async untilAllVerified() {
        await untilVerified(databases.tracking, published)
        return lastVerifiedAtMs(databases.tracking)
      },
      close,
    }
  } catch (reason) {
    await close()
    throw reason
  }
}

/** Looks now and then only: counting costs the same two cores that are measured. */
async function untilVerified(tracking: Knex, count: number): Promise<void> {
  let seen = -1
  let movedAtMs = performance.now()
  for (;;) {
    const { rows } = await tracking.raw(
      `select count(*)::float8 as verified from widget_registry where state = 2 and verification_state = 2`,
    )
    const verified: number = rows[0].verified
    if (verified === count) return
    if (verified !== seen) movedAtMs = performance.now()
    seen = verified
    if (performance.now() - movedAtMs > STALL_LIMIT_MS) {
      throw new Error(`Nothing has moved for ${STALL_LIMIT_MS / 1000} s: ${verified} of ${count} blobs are verified.`)
    }
    await sleep(LOOK_EVERY_MS)
  }
}

async function lastVerifiedAtMs(tracking: Knex): Promise<number> {
  const { rows } = await tracking.raw(
    'select (extract(epoch from max(verified_at)) * 1000)::float8 as at from widget_registry',
  )
  return rows[0].at
}
