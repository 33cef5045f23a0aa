import type { Knex } from 'knex'
import type { Replicable } from '../../blob/replicable.ts'
import type { Clock } from '../../clock.ts'
import { messageOf } from '../../errors.ts'
import type { LoggerLike } from '../../log.ts'
import { type GatheredStatus, loadNodeStatuses, storeOwnStatus } from '../../node-status-table.ts'
import type { SiteDirectory } from '../../site.ts'
import { loadOwnStatus, storeGathered } from '../../site-status-table.ts'
import { samplesIn } from '../../status-sample.ts'
import { storeSamples } from '../../status-sample-table.ts'
import { loadRates, pruneThroughput, type Rates } from '../../throughput-table.ts'
import { VERSION } from '../../version.ts'
import { type Backlog, followBacklog, parseBacklog } from '../backlog.ts'
import type { Health } from '../health.ts'
import { cursorStatus, eventStatus, lagStatus, slotStatus } from './database-status.ts'
import type { TypeProgress } from './fields.ts'
import { COUNTS, NOT_GATHERED, primaryTypeStatus, secondaryTypeStatus } from './type-status.ts'

export interface GatherContext {
  readonly main: Knex
  readonly tracking: Knex | null
  readonly sites: SiteDirectory
  readonly replicables: readonly Replicable[]
  readonly revision: string
  readonly clock: Clock
  readonly logger: LoggerLike
  isEnabled(replicable: Replicable): boolean
  /** Of the site as it is gathered just now. */
  health(gathered: GatheredStatus): Promise<Health>
  /** Why transfers pause now, or null. */
  transferRefusal(): unknown
  /** There is something new to tell the primary. */
  gathered(): void
}

// Counting is to take at most a twentieth of the time, however many rows there are (GB.G.5: each minute).
const REST_PER_WORK = 20
const SHORTEST_REST_MS = 10_000
const LONGEST_REST_MS = 60_000

type Fields = Record<string, unknown>

/**
 * Gathers a site's status in the background and leaves it where every process of the site, and the primary, reads it: no
 * request counts anything. A number that cannot be had keeps its value of the time before and is named as outdated.
 */
export class StatusGathering {
  readonly #context: GatherContext
  #dueAtMs = Number.NEGATIVE_INFINITY

  constructor(context: GatherContext) {
    this.#context = context
  }

  /** If it is time. */
  async run(): Promise<void> {
    const { clock } = this.#context
    const beganMs = clock.monotonicMs()
    if (beganMs < this.#dueAtMs) return
    await this.gather()
    const endedMs = clock.monotonicMs()
    const restMs = Math.min(Math.max((endedMs - beganMs) * REST_PER_WORK, SHORTEST_REST_MS), LONGEST_REST_MS)
    this.#dueAtMs = endedMs + restMs
  }

  async gather(): Promise<void> {
    const { main, tracking, sites, replicables } = this.#context
    const me = sites.requireMe()
    if (me.primary) {
      const before = (await loadNodeStatuses(main)).get(me.id)?.status ?? {}
      const status = await this.#statusOf('primary', main, before)
      await storeOwnStatus(main, me.id, status)
      await storeSamples(main, me.id, samplesIn(status, 'primary', replicables))
      await pruneThroughput(main)
    } else if (tracking) {
      const own = await loadOwnStatus(tracking)
      const clockSkew = own?.clockSkewMs ?? null
      const status = {
        ...(await this.#statusOf('secondary', tracking, own?.status ?? {})),
        clock_skew_seconds: clockSkew === null ? null : clockSkew / 1000,
      }
      await storeGathered(tracking, status)
      await storeSamples(tracking, me.id, samplesIn(status, 'secondary', replicables))
      await pruneThroughput(tracking)
      this.#context.gathered()
    }
  }

  async #statusOf(role: 'primary' | 'secondary', writable: Knex, before: GatheredStatus): Promise<GatheredStatus> {
    const { main, sites, replicables, revision, isEnabled, logger } = this.#context
    const fields: Fields = {}
    const progress: Record<string, TypeProgress> = {}
    const outdated: string[] = []
    const beforeProgress = (before['progress'] ?? {}) as Readonly<Record<string, TypeProgress>>

    const part = async (name: string, names: readonly string[], gather: () => Promise<Fields>): Promise<void> => {
      try {
        Object.assign(fields, await gather())
      } catch (reason) {
        logger.warn({ part: name, error: messageOf(reason) }, 'A part of the status could not be gathered')
        for (const field of names) fields[field] = before[field] ?? null
        outdated.push(...names)
      }
    }

    if (role === 'primary') await part('slots', SLOT_FIELDS, () => slotStatus(main))
    else {
      await part('replication lag', ['db_replication_lag_seconds'], () => lagStatus(main))
      await part('cursor', CURSOR_FIELDS, () => cursorStatus(writable, sites.siteName))
    }
    await part('events', EVENT_FIELDS, () => eventStatus(main))
    const rates = await loadRates(writable).catch((reason: unknown): Rates[] => {
      logger.warn({ part: 'rates', error: messageOf(reason) }, 'A part of the status could not be gathered')
      return []
    })
    const typeStatus = role === 'primary' ? primaryTypeStatus : secondaryTypeStatus
    for (const replicable of replicables) {
      const { plural } = replicable.names
      const ratesOf = (kind: Rates['kind']) => rates.find((rate) => rate.type === replicable.name && rate.kind === kind)
      progress[plural] = beforeProgress[plural] ?? NOT_GATHERED
      await part(
        plural,
        COUNTS.map((name) => `${plural}_${name}`),
        async () => {
          const gathered = await typeStatus(writable, replicable, isEnabled(replicable), ratesOf)
          progress[plural] = gathered.progress
          return gathered.fields
        },
      )
      if (outdated.includes(`${plural}_count`)) outdated.push(`progress.${plural}`)
    }
    const gathered = {
      progress,
      ...(role === 'secondary' && { backlog: this.#backlogOf(fields, before) }),
    }
    const { status, findings } = await this.#context.health(gathered)
    const ill = status === 'healthy' ? [] : findings.map(({ code, message }) => `${code}: ${message}`)
    return {
      ...fields,
      ...gathered,
      healthy: status === 'healthy',
      health: ill.length > 0 ? ill.join('; ') : 'Healthy',
      findings,
      version: VERSION,
      revision,
      selective_sync_type: sites.me?.selectiveSync?.type ?? null,
      storage_shards: replicables.map(({ name, checksum }) => ({ name: `${name}:${checksum}` })),
      outdated_fields: outdated,
    }
  }

  /** Whether more arrives than is done. */
  #backlogOf(fields: Fields, before: GatheredStatus): Backlog {
    const { sites, replicables, clock, transferRefusal } = this.#context
    const waiting = replicables.reduce((sum, { names: { plural } }) => {
      const count = (name: string) => Number(fields[`${plural}_${name}`] ?? 0)
      const toFetch = count('registry_count') - count('synced_count') - count('failed_count')
      const toVerify = count('verification_total_count') - count('verified_count') - count('verification_failed_count')
      return sum + Math.max(0, toFetch) + Math.max(0, toVerify)
    }, 0)
    const { me } = sites
    const workIsPossible = Boolean(me?.enabled && me.filesMaxCapacity > 0) && transferRefusal() === null
    return followBacklog(parseBacklog(before['backlog']), { atMs: clock.nowMs(), waiting }, workIsPossible)
  }
}

const SLOT_FIELDS = [
  'replication_slots_count',
  'replication_slots_used_count',
  'replication_slots_max_retained_wal_bytes',
]
const CURSOR_FIELDS = ['cursor_last_event_id', 'cursor_last_event_timestamp']
const EVENT_FIELDS = ['last_event_id', 'last_event_timestamp']
