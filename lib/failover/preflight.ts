import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import type { Clock } from '../clock.ts'
import { run } from '../databases.ts'
import { missingGrants, missingToPromote, neededInMain } from '../grants.ts'
import { isoTime } from '../iso-time.ts'
import type { ReadOnlyMode } from '../read-only-mode.ts'
import { type UnprovenRecord, unprovenRecords } from '../registry/unproven.ts'
import type { SiteDirectory } from '../site.ts'
import type { KnownEpoch } from './tell-epoch.ts'

/** What a promotion of this secondary would lose, as far as it can be told here. */
export interface Preflight {
  readonly site: string
  /** The primary whose place it would take. */
  readonly former: string | null
  /** Whether the database is still a replica, or has been promoted already. */
  readonly database: 'replica' | 'promoted'
  /** The time of the last transaction that has arrived; ISO 8601. What the primary wrote after that is not here. */
  readonly replayedAt: string | null
  /** Another site that answers, and that knows of a later epoch: somebody has been promoted already. */
  readonly later: KnownEpoch | null
  /** The seal is `whole`. */
  readonly sealed: boolean
  readonly seal: Seal
  readonly types: readonly TypePreflight[]
  /** What the role of this process lacks to do it, and to promote the database where that is still a replica: as statements. */
  readonly missingGrants: readonly string[]
  /** Nothing would be lost. */
  readonly passes: boolean
  /** What a person has to type where something would be. */
  readonly phrase: string | null
}

/**
 * Whether the primary takes no more writes, and all that it ever took have arrived: see `geo read-only`. `none`: it takes writes, as far
 * as is known here. `unfinished`: it takes no new ones, and that those which were under way have ended has not arrived. `whole`: that
 * has. `lapsed`: that has, and the last that arrived is more than ten minutes old.
 */
export type Seal = 'none' | 'unfinished' | 'whole' | 'lapsed'

export interface TypePreflight {
  readonly type: string
  /** With a file. */
  readonly records: number
  readonly unproven: number
  /** At most 100,000 of them. */
  readonly rows: readonly UnprovenRecord[]
}

export interface PreflightSources {
  readonly main: Knex
  readonly tracking: Knex
  readonly sites: SiteDirectory
  readonly replicables: readonly Replicable[]
  readonly clock: Pick<Clock, 'nowMs'>
}

/** So long after the last that has arrived it is believed that the primary still takes no writes: it cannot take that back unheard. */
const SEAL_BELIEVED_MS = 10 * 60_000
const MOST_ROWS = 100_000

export interface DatabaseState {
  readonly recovering: boolean
  readonly replayedAt: string | null
  /** Every transaction below has ended, and how it ended has arrived. */
  readonly horizon: string
}

// A server that was started anew since its promotion has forgotten when the last transaction was: the last that wrote an event is known.
const LAST_ARRIVED = `coalesce(pg_last_xact_replay_timestamp(),
  case when not pg_is_in_recovery() then (select created_at from geo_events order by xact_id desc, id desc limit 1) end)`

export async function databaseState(main: Knex): Promise<DatabaseState> {
  const { rows } = await run<{ rows: DatabaseState[] }>(
    main,
    `select pg_is_in_recovery() as recovering, pg_snapshot_xmin(pg_current_snapshot())::text as horizon,
       ${isoTime(LAST_ARRIVED)} as "replayedAt"`,
  )
  const [state] = rows
  if (!state) throw new Error('A select without a table returned no row')
  return state
}

/** Changes nothing. `latest`: that other sites know of. `looked`: how many records were looked at so far. */
export async function preflight(
  sources: PreflightSources,
  latest: KnownEpoch | null,
  looked: (records: number) => void = () => undefined,
): Promise<Preflight> {
  const { main, sites, replicables, clock } = sources
  await sites.refresh()
  const { primary } = sites
  const { recovering, replayedAt } = await databaseState(main)
  let total = 0
  const types: TypePreflight[] = []
  for (const replicable of replicables) {
    const type = await preflightOf(sources, replicable, (records) => {
      total += records
      looked(total)
    })
    types.push(type)
  }
  const seal = sealOf(primary?.readOnly ?? null, replayedAt, clock.nowMs())
  const sealed = seal === 'whole'
  const later = latest && latest.epoch > sites.epoch ? latest : null
  const unproven = types.reduce((sum, type) => sum + type.unproven, 0)
  const former = primary?.name ?? null
  return {
    site: sites.siteName,
    former,
    database: recovering ? 'replica' : 'promoted',
    replayedAt,
    later,
    sealed,
    seal,
    types,
    missingGrants: [
      ...(recovering ? await missingToPromote(main) : []),
      ...(await missingGrants(main, neededInMain(replicables, 'primary'))),
    ],
    passes: sealed && unproven === 0 && later === null,
    phrase: phraseOf(unproven, sealed, former, later),
  }
}

/** A replica that has stopped replaying shows a seal for ever, also once the primary takes writes again. */
function sealOf(mode: ReadOnlyMode | null, replayedAt: string | null, nowMs: number): Seal {
  if (!mode) return 'none'
  if (!mode.isSealed) return 'unfinished'
  const heardAtMs = Math.max(mode.sinceMs, replayedAt === null ? 0 : Date.parse(replayedAt))
  return nowMs - heardAtMs <= SEAL_BELIEVED_MS ? 'whole' : 'lapsed'
}

async function preflightOf(
  sources: PreflightSources,
  replicable: Replicable,
  looked: (records: number) => void,
): Promise<TypePreflight> {
  let [records, unproven] = [0, 0]
  const rows: UnprovenRecord[] = []
  for await (const page of unprovenRecords(sources, replicable)) {
    records += page.looked
    unproven += page.unproven.length
    for (const row of page.unproven) if (rows.length < MOST_ROWS) rows.push(row)
    looked(page.looked)
  }
  return { type: replicable.name, records, unproven, rows }
}

/** Without the time of the last transaction, which passes while somebody types. */
function phraseOf(unproven: number, sealed: boolean, former: string | null, later: KnownEpoch | null): string | null {
  const lost = [
    ...(unproven > 0 ? [`${unproven} ${unproven === 1 ? 'record' : 'records'}`] : []),
    ...(sealed ? [] : [`what ${former ?? 'the primary'} wrote and has not arrived`]),
    ...(later ? [whatWasWrittenIn(later.epoch)] : []),
  ]
  return lost.length > 0 ? `lose ${lost.join(' and ')}` : null
}

export function whatWasWrittenIn(epoch: number): string {
  return `what was written in epoch ${epoch}`
}
