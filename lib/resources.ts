import { availableParallelism } from 'node:os'
import { type Databases, openDatabases } from './databases.ts'
import type { GeoSettings } from './options.ts'
import { TransferThreads } from './transfer/threads.ts'
import { ChecksumPool } from './verification/checksum.ts'

const MOST_THREADS = 4

/** What costs time to open; whoever opens it closes it. */
export interface Resources {
  readonly databases: Databases
  readonly transferThreads: TransferThreads
  readonly checksums: ChecksumPool
}

/** One thread a core, but not more than pay off. */
export function defaultThreads(): number {
  return Math.min(availableParallelism(), MOST_THREADS)
}

export function openResources(settings: GeoSettings): Resources {
  const threads = settings.threads ?? defaultThreads()
  return {
    databases: openDatabases(settings.mainDb, settings.trackingDb, settings.logger, settings.clock),
    transferThreads: new TransferThreads(threads, settings.ca),
    checksums: new ChecksumPool(threads),
  }
}
