import type { Knex } from 'knex'
import { bounded } from '../databases.ts'
import { askReconciliation } from '../registry/reconciliation-table.ts'
import { type ConsumeContext, type Consumed, consumeEvents } from './consume.ts'
import {
  clusterIdentity,
  earlyIds,
  forgetAllEarly,
  forgetEarly,
  loadCursor,
  rememberEarly,
  type StoredCursor,
  saveCursor,
} from './cursor.ts'
import { type EventPosition, type GeoEvent, horizonOf, readEarlyEvents, readSettledEvents } from './event-log.ts'

const EVENTS_PER_BATCH = 500
/** Early events are remembered by id; beyond this many they wait for their turn. */
const LONGEST_EARLY_LIST = 10_000

export interface FollowContext extends ConsumeContext {
  readonly siteName: string
  readonly tracking: Knex
}

export interface Followed {
  readonly consumed: Consumed
  /** Whether there may be more to read at once. */
  readonly more: boolean
  /** How many events wait behind an open transaction, already handled. */
  readonly early: number
}

/**
 * Reads one batch of the event log and applies it. Position and effects are one transaction in the tracking database: an
 * event is applied exactly once, also when the process dies between two statements.
 */
export async function followEvents(context: FollowContext): Promise<Followed> {
  const { tracking, replica } = context
  const cursor = await currentCursor(context)
  const settled = await bounded(replica, (trx) => readSettledEvents(trx, cursor, EVENTS_PER_BATCH))
  if (settled.length > 0) {
    const consumed = await applySettled(context, cursor, settled)
    return { consumed, more: true, early: 0 }
  }
  const known = await earlyIds(tracking)
  const nothing = { consumed: { sync: false, verify: false, remove: false }, more: false, early: known.length }
  if (known.length >= LONGEST_EARLY_LIST) return nothing
  const early = await bounded(replica, (trx) => readEarlyEvents(trx, known, EVENTS_PER_BATCH))
  if (early.length === 0) return nothing
  const consumed = await tracking.transaction(async (trx) => {
    await rememberEarly(trx, early)
    return consumeEvents(trx, context, early)
  })
  return { consumed, more: early.length === EVENTS_PER_BATCH, early: known.length + early.length }
}

async function applySettled(
  context: FollowContext,
  cursor: StoredCursor,
  events: readonly GeoEvent[],
): Promise<Consumed> {
  const last = events.at(-1)
  const position: EventPosition = last ? { xactId: last.xactId, eventId: last.id } : cursor
  return context.tracking.transaction(async (trx) => {
    const handledEarly = new Set(await earlyIds(trx))
    const fresh = events.filter((event) => !handledEarly.has(event.id))
    const consumed = await consumeEvents(trx, context, fresh)
    await forgetEarly(trx, position)
    await saveCursor(trx, context.siteName, { ...cursor, ...position }, last?.createdAt ?? null)
    return consumed
  })
}

/**
 * The stored position; at the first start the replica's own horizon (what came before is left to reconciliation). On another
 * cluster or timeline all kept events are read again and a full reconciliation begins.
 */
async function currentCursor(context: FollowContext): Promise<StoredCursor> {
  const { replica, tracking, siteName, replicables, logger } = context
  const [stored, identity] = await Promise.all([loadCursor(tracking, siteName), clusterIdentity(replica)])
  const same = stored?.systemIdentifier === identity.systemIdentifier && stored.timeline === identity.timeline
  if (stored && same) return stored
  const fresh = { ...(stored ? { xactId: '0', eventId: '0' } : await horizonOf(replica)), ...identity }
  if (stored)
    logger.warn(
      { stored, identity },
      'The main database is on another timeline: events are read again from the beginning',
    )
  await tracking.transaction(async (trx) => {
    await forgetAllEarly(trx)
    await saveCursor(trx, siteName, fresh, null)
    // What was missed until now is told by no event that is still to be read.
    await askReconciliation(trx, [...replicables.keys()], stored ? 'ANOTHER_TIMELINE' : null)
  })
  return fresh
}
