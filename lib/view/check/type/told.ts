import type { Knex } from 'knex'
import type { Replicable } from '../../../blob/replicable.ts'
import { type ToldWrites, toldWrites } from '../../../event/told.ts'
import { listDrift } from '../../../registry/drift.ts'
import { loadSamples } from '../../../status-sample-table.ts'
import { type Check, no, noBy, type Outcome, skipped, yes } from '../outcome.ts'
import type { TypeCheckSources } from './sources.ts'

const DAY_MINUTES = 24 * 60
const MINUTE_MS = 60_000
/** Statuses are sampled each minute while a type is on; a longer pause is one in which it was off, or nobody looked. */
const LONGEST_PAUSE_MS = 5 * MINUTE_MS

/** On the primary: whether the host calls `created`, `updated` and `deleted` where it writes. */
export function hostTells(sources: TypeCheckSources, replicable: Replicable): Check[] {
  const { main } = sources.databases
  const { names, table, keyType } = replicable
  const call = (method: string) => `geo.replicator(${names.plural}).${method}(row, trx)`
  let looked: Promise<ToldWrites | string> | null = null
  const look = () => {
    looked ??= lookAt(sources, replicable, main)
    return looked
  }
  const asking = async (answer: (writes: ToldWrites) => Outcome): Promise<Outcome> => {
    const writes = await look()
    return typeof writes === 'string' ? skipped(writes) : answer(writes)
  }
  return [
    {
      name: `The host tells of new files of ${table}`,
      ask: () =>
        asking(({ since, told, untold }) => {
          if (untold.length > 0) {
            return no(
              `${orMore(untold)} rows were written since ${since} and found by a pass alone, among them ${some(untold)}`,
              `Call ${call('created')} in the transaction of each insert, and \`updated\` where a row gets another file.`,
              'Look for imports, jobs and SQL that write the table past that code.',
            )
          }
          if (told > 0) return yes(`${told} told of since ${since}`)
          return skipped(
            keyType === 'uuid' && replicable.verificationState === 'columns'
              ? 'Nothing was told of lately, and such keys and states do not say what is new: ask this on a secondary'
              : `No row has been written since ${since ?? 'the flag came on'}`,
          )
        }),
    },
    {
      name: `The host tells of rows of ${table} that go`,
      ask: () =>
        asking(({ since, gone }) => {
          if (gone.length === 0) return yes(since && `since ${since}`)
          return no(
            `${orMore(gone)} rows have gone since ${since} without a word, among them ${some(gone)}`,
            `Call ${call('deleted')} in the transaction of each delete.`,
            'Look for cascades, jobs and SQL that delete from the table past that code.',
          )
        }),
    },
  ]
}

/** Or why there is nothing to say. */
async function lookAt(
  { sites, gate }: TypeCheckSources,
  replicable: Replicable,
  main: Knex,
): Promise<ToldWrites | string> {
  if (!gate.replicationEnabled(replicable)) return 'The flag is off: nothing is to be told'
  const { me } = sites
  const samples = me ? await loadSamples(main, { siteId: me.id, minutes: DAY_MINUTES }) : []
  const since = onSince(samples.filter(({ type }) => type === replicable.name).map(({ at }) => Date.parse(at)))
  if (since === null) return 'Since when the flag is on is not known: no process of this site gathers a status'
  return toldWrites(main, replicable, new Date(since).toISOString())
}

/** The beginning of the last stretch without a pause. The minute after it: within the first the flag may have come on. */
function onSince(minutesMs: readonly number[]): number | null {
  const first = minutesMs.findLast((atMs, position) => {
    const before = minutesMs[position - 1]
    return before === undefined || atMs - before > LONGEST_PAUSE_MS
  })
  return first === undefined ? null : first + MINUTE_MS
}

/** On a secondary: what its passes have found that no event had told of. */
export function nothingDrifts({ settings }: TypeCheckSources, tracking: Knex, replicable: Replicable): Check {
  return {
    name: `Nothing of ${replicable.names.plural} was found that no event told of`,
    async ask() {
      const counts = (await listDrift(tracking)).filter(({ replicable: of }) => of === replicable.name)
      const lately = counts.filter(
        ({ lastFoundAt }) => settings.clock.nowMs() - lastFoundAt.getTime() < settings.eventRetentionMs,
      )
      if (lately.length === 0) {
        const last = counts
          .map(({ lastFoundAt }) => lastFoundAt.toISOString())
          .sort()
          .at(-1)
        return yes(last ? `the last time at ${last}` : null)
      }
      return noBy(
        'DRIFT_MENDED',
        lately
          .map(({ kind, count, lastFoundAt }) => `${kind}: ${count}, last at ${lastFoundAt.toISOString()}`)
          .join('; '),
        ...lately.flatMap(({ kind }) => ADVICE[kind] ?? []),
        'It is mended; that it does not come again is for the host to see to.',
      )
    },
  }
}

const ADVICE: Readonly<Record<string, string>> = Object.freeze({
  row_without_registry: 'Look on the primary for inserts that call no `created`.',
  registry_without_row: 'Look on the primary for deletes that call no `deleted`.',
  key_changed: 'Look on the primary for updates of the file that call no `updated`.',
})

function orMore(ids: readonly string[]): string {
  return ids.length === 100 ? '100 or more' : String(ids.length)
}

function some(ids: readonly string[]): string {
  return ids
    .slice(0, 3)
    .map((id) => `#${id}`)
    .join(', ')
}
