import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import type { Assembly } from '../../lib/assembly.ts'
import type { Replicable } from '../../lib/blob/replicable.ts'
import { loadCursor } from '../../lib/event/cursor.ts'
import { facadeOf } from '../../lib/facade.ts'
import { assemble } from '../../lib/geo.ts'
import type { Geo, GeoOptions } from '../../lib/index.ts'
import { parseOptions } from '../../lib/options.ts'
import { type ShiftedClock, shiftedClock } from '../../lib/testing/shifted-clock.ts'
import { connect, createSpecDatabases, type SpecDatabases } from './databases.ts'
import { addSites, ENCRYPTION_KEY, untyped } from './fixture-rows.ts'
import { type RecordingLogger, recordingLogger } from './recording-logger.ts'
import { until } from './until.ts'

export const SECONDARY_NAME = 'paris'

/** The secondary `paris` of the primary `rome`, on a real standby, in this process: its jobs run one by one, when the spec says. */
export interface SecondarySite {
  readonly databases: SpecDatabases
  readonly root: string
  readonly widgets: Replicable
  readonly gadgets: Replicable
  readonly assembly: Assembly
  readonly geo: Geo
  readonly clock: ShiftedClock
  readonly logger: RecordingLogger
  /** Lets the standby catch up and runs a job until it has nothing more to do. */
  run(job: string): Promise<void>
  /** Runs the job that follows the events until it has heard of all that were published. */
  hear(): Promise<void>
  /** The same, and until none of them waits for its turn any more: the position is behind the last. */
  hearInTurn(): Promise<void>
  /** Changes the settings of the site, as an operator would on the primary, and lets this process see it. */
  update(change: Parameters<Geo['sites']['update']>[1]): Promise<void>
  close(): Promise<void>
}

export interface SecondarySiteOptions extends Partial<GeoOptions> {
  /** The types instead of those of the fixture host; the first two are `widgets` and `gadgets`. */
  readonly declare?: (root: string) => readonly Replicable<never>[]
  /** Its databases are those of the role that a process of it has (docs/guides/database-roles.md). Default: of one that may do everything. */
  readonly asRole?: boolean
}

export async function createSecondarySite({
  declare,
  asRole = false,
  ...options
}: SecondarySiteOptions = {}): Promise<SecondarySite> {
  const databases = await createSpecDatabases()
  const root = await mkdtemp(join(tmpdir(), 'geo-secondary-'))
  const declared = declare?.(root) ?? Object.values(declareReplicables(root)).filter((value) => 'blob' in value)
  const [widgets, gadgets] = declared
  if (!widgets || !gadgets) throw new Error('Declare two types')
  await addSites(databases.main, SECONDARY_NAME)
  const clock = shiftedClock()
  const logger = recordingLogger()
  const common = { encryptionKey: ENCRYPTION_KEY.toString('hex'), clock, logger, threads: 1 }
  const own = asRole
    ? [databases.sites?.secondaryMain, databases.sites?.secondaryTracking].map((url = '') => connect(url))
    : []
  const [mainDb = databases.standby, trackingDb = databases.tracking] = own
  const settings = parseOptions({
    siteName: SECONDARY_NAME,
    mainDb,
    trackingDb,
    replicables: declared as readonly Replicable<never>[],
    features: { isEnabled: () => true },
    ...common,
    ...options,
  })
  const assembly = assemble(settings)
  const primary = facadeOf(
    assemble(parseOptions({ siteName: 'rome', mainDb: databases.main, replicables: [], ...common })),
  )
  await databases.caughtUp()
  await assembly.sites.refresh()

  async function run(name: string): Promise<void> {
    await databases.caughtUp()
    const job = assembly.jobs.find((known) => known.name === name)
    if (!job) throw new Error(`No job is named ${name}`)
    while (await job.run(new AbortController().signal));
  }

  async function allHeard(): Promise<boolean> {
    const early = await databases.tracking('geo_early_events').select(databases.tracking.raw('event_id::text as id'))
    const cursor = await loadCursor(databases.tracking, SECONDARY_NAME)
    const { rows } = await databases.main.raw(
      'select from geo_events where (xact_id, id) > (?::xid8, ?::bigint) and id <> all(?::bigint[]) limit 1',
      [cursor?.xactId ?? '0', cursor?.eventId ?? '0', early.map(({ id }) => id)],
    )
    return rows.length === 0
  }

  return {
    databases,
    root,
    widgets: untyped(widgets),
    gadgets: untyped(gadgets),
    assembly,
    geo: facadeOf(assembly),
    clock,
    logger,
    run,
    // Transactions of other spec files may move the horizon between two looks at the log.
    hear: () =>
      until(async () => {
        await run('events')
        return allHeard()
      }),
    hearInTurn: () =>
      until(async () => {
        await run('events')
        return (await allHeard()) && !(await databases.tracking('geo_early_events').first())
      }),
    async update(change) {
      await primary.sites.update(SECONDARY_NAME, change)
      await databases.caughtUp()
      await assembly.sites.refresh()
    },
    async close() {
      await Promise.all([assembly.stop(), primary.stop()])
      await Promise.all(own.map((db) => db.destroy()))
      await databases.destroy()
      await rm(root, { recursive: true, force: true })
    },
  }
}
