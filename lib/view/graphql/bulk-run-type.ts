import type { BulkRun } from '../../bulk/bulk-run.ts'
import type { Api } from './api.ts'

/** `GeoBulkRun`: a bulk run and how far it is. */
export function defineBulkRunType({ builder, enums }: Api) {
  return builder.objectRef<BulkRun>('GeoBulkRun').implement({
    description: 'Work on many registries of one type, done page by page in the background',
    fields: (t) => {
      const time = (of: (run: BulkRun) => Date | null, description: string) =>
        t.field({ type: 'Time', nullable: true, description, resolve: (run) => of(run)?.toISOString() ?? null })
      const number = (of: (run: BulkRun) => number, description: string) =>
        t.field({ type: 'BigInt', nullable: false, description, resolve: of })
      return {
        id: t.exposeID('id', { nullable: false, description: 'Id of the run on its site' }),
        action: t.expose('action', { type: enums.bulkAction, nullable: false, description: 'What it does' }),
        type: t.exposeString('type', { nullable: false, description: 'The name of the type' }),
        state: t.expose('state', { type: enums.runState, nullable: false, description: 'Whether it still goes on' }),
        requestedBy: t.exposeString('requestedBy', { nullable: true, description: 'Who asked for it' }),
        examined: number(({ examined }) => examined, 'Rows that were looked at so far'),
        changed: number(({ changed }) => changed, 'Rows that have new work'),
        doneFraction: t.exposeFloat('doneFraction', { nullable: false, description: 'How far it is, from 0 to 1' }),
        createdAt: time(({ createdAt }) => createdAt, 'When it was asked for'),
        startedAt: time(({ startedAt }) => startedAt, 'When its first page was done'),
        finishedAt: time(({ finishedAt }) => finishedAt, 'When its last page was done'),
        cancelledAt: time(({ cancelledAt }) => cancelledAt, 'When it was cancelled'),
        failure: t.string({
          nullable: true,
          description: 'Why the last page that failed did; it is tried again',
          resolve: ({ failure }) => failure?.message ?? null,
        }),
      }
    },
  })
}

export type BulkRunTypeRef = ReturnType<typeof defineBulkRunType>
