import type { BulkRun } from '../../bulk/bulk-run.ts'
import type { Api } from './api.ts'
import type { BulkRunTypeRef } from './bulk-run-type.ts'
import { notAvailable } from './errors.ts'
import type { SiteProgress } from './progress.ts'
import type { ProgressTypeRef } from './progress-type.ts'
import { siteNamed } from './queries.ts'
import { loadProgress } from './site-type.ts'

const LOOK_EVERY_MS = 1000

/**
 * What moves, told anew whenever it has. One statement a second for each subscriber, of a row that a job has left: whichever
 * process of the site does the work.
 */
export function defineSubscriptions(
  { builder, sources, readerOf, safely }: Api,
  progress: ProgressTypeRef,
  run: BulkRunTypeRef,
  ending: AbortSignal,
): void {
  const changes = <Seen>(look: () => Promise<Seen>, isLast: (seen: Seen) => boolean) =>
    whenChanged({ look: () => safely(look), isLast, sleep: () => sources.clock.sleep(LOOK_EVERY_MS, ending), ending })
  const requireReader = async (context: object) => {
    if (!(await readerOf(context).may('read_geo'))) throw notAvailable()
  }
  builder.subscriptionType({
    fields: (t) => ({
      geoProgress: t.field({
        type: progress,
        nullable: false,
        description: 'What a site gathers of itself, whenever it has',
        args: { name: t.arg.string({ required: false, description: 'The name of the site. Default: this site' }) },
        subscribe: async (_root, { name }, context) => {
          await requireReader(context)
          return changes(
            async () => {
              const site = await siteNamed({ sources }, name)
              const seen = site && (await loadProgress(sources, site))
              if (!seen) throw notAvailable()
              return seen
            },
            () => false,
          )
        },
        resolve: (seen: SiteProgress) => seen,
      }),
      geoBulkRun: t.field({
        type: run,
        nullable: false,
        description: 'A bulk run of this site, whenever it has moved, until it ends',
        args: { id: t.arg.id({ required: true }) },
        subscribe: async (_root, { id }, context) => {
          await requireReader(context)
          return changes(
            () => sources.bulk.get(String(id)),
            ({ state }) => state === 'finished' || state === 'cancelled',
          )
        },
        resolve: (seen: BulkRun) => seen,
      }),
    }),
  })
}

async function* whenChanged<Seen>({
  look,
  isLast,
  sleep,
  ending,
}: {
  look(): Promise<Seen>
  isLast(seen: Seen): boolean
  sleep(): Promise<void>
  readonly ending: AbortSignal
}): AsyncGenerator<Seen> {
  for (let before = ''; !ending.aborted; await sleep()) {
    const seen = await look()
    const now = JSON.stringify(seen)
    if (now !== before) yield seen
    before = now
    if (isLast(seen)) return
  }
}
