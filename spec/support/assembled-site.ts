import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { declareReplicables, type Replicables } from '../../fixtures/widget-app/replicables.ts'
import type { Assembly } from '../../lib/assembly.ts'
import { assemble } from '../../lib/geo.ts'
import type { GeoOptions } from '../../lib/index.ts'
import { parseOptions } from '../../lib/options.ts'
import { insertSite, type NewSite } from '../../lib/site-table.ts'
import { type ShiftedClock, shiftedClock } from '../../lib/testing/shifted-clock.ts'
import type { SpecDatabases } from './databases.ts'
import { ENCRYPTION_KEY } from './fixture-rows.ts'
import { type RecordingLogger, recordingLogger } from './recording-logger.ts'

/** The parts of one process of the secondary `paris`, whose jobs a spec runs one by one. */
export interface AssembledSite {
  readonly parts: Assembly
  readonly root: string
  readonly replicables: Replicables
  readonly clock: ShiftedClock
  readonly logger: RecordingLogger
  close(): Promise<void>
}

export interface AssembledSiteOptions {
  /** Where the primary answers. */
  readonly primaryUrl?: string
  readonly secondary?: Partial<NewSite>
  /** The folder of its blobs, where several processes share one. Default: one of its own, gone with it. */
  readonly root?: string
  readonly options?: Partial<GeoOptions>
}

/** Registers `rome` and `paris`, unless they are there, and puts a process of paris together. */
export async function assembleSecondary(
  databases: SpecDatabases,
  { primaryUrl = 'http://127.0.0.1:1', secondary, root: sharedRoot, options }: AssembledSiteOptions = {},
): Promise<AssembledSite> {
  const root = sharedRoot ?? (await mkdtemp(join(tmpdir(), 'geo-assembled-')))
  const replicables = declareReplicables(root)
  const clock = shiftedClock()
  const logger = recordingLogger()
  if (!(await databases.main('geo_nodes').first())) {
    await insertSite(databases.main, ENCRYPTION_KEY, { name: 'rome', url: primaryUrl, primary: true })
    await insertSite(databases.main, ENCRYPTION_KEY, { name: 'paris', url: 'http://paris.test', ...secondary })
  }
  const parts = assemble(
    parseOptions({
      siteName: 'paris',
      mainDb: databases.main,
      trackingDb: databases.tracking,
      replicables: [replicables.widgets, replicables.gadgets],
      features: { isEnabled: () => true },
      encryptionKey: ENCRYPTION_KEY.toString('hex'),
      threads: 1,
      clock,
      logger,
      ...options,
    }),
  )
  await parts.sites.refresh()
  return {
    parts,
    root,
    replicables,
    clock,
    logger,
    async close() {
      await parts.stop()
      if (!sharedRoot) await rm(root, { recursive: true, force: true })
    },
  }
}
