import type { Knex } from 'knex'
import { bounded, boundedByKey } from '../databases.ts'
import { askReconciliation } from '../registry/reconciliation-table.ts'
import { type ConsumeContext, type Consumed, consumeEvents } from './consume.ts'
import {
  earlyIds,
  forgetAllEarly,
  forgetEarly,
  isSameLog,
  loadFollowed,
  rememberEarly,
  type StoredCursor,
  saveCursor,
} from './cursor.ts'
import { BEGINNING, type EventPosition, type GeoEvent, horizonOf, readEvents, type SeenEvent } from './event-log.ts'
import { logBeyond } from './prune.ts'

const EVENTS_PER_BATCH = 1000
/** Early events are remembered by id; beyond this many they wait for their turn. */
const LONGEST_EARLY_LIST = 10_000

export interface FollowContext extends ConsumeContext {
  readonly siteName: string
  readonly tracking: Knex
}

const NOTHING: Consumed = Object.freeze({ sync: false, verify: false, remove: false })

export interface Followed {
  readonly consumed: Consumed
  /** Whether there may be more to read at once. */
  readonly more: boolean
  /** How many events wait behind an open transaction, already handled. */
  readonly early: number
}

/**
 * Reads one batch of the event log and applies it. Position and effects are one transaction in the tracking database: an
 * event is applied exactly once, also when the process dies between two statements. Events that an open transaction keeps from
 * their turn are applied too, and remembered by id until the position has passed them.
 */
export async function followEvents(context: FollowContext): Promise<Followed> {
  const { cursor, early } = await loadFollowed(context.tracking, context.siteName)
  const followed = cursor && (await followFrom(context, cursor, early))
  if (followed) return followed
  const begun = await beginAnew(context, cursor)
  return (await followFrom(context, begun, [])) ?? { consumed: NOTHING, more: true, early: 0 }
}

/** Null where the log behind the replica is not the one that the position counts in. */
async function followFrom(
  context: FollowContext,
  cursor: StoredCursor,
  known: readonly string[],
): Promise<Followed | null> {
  const handledEarly = known.length < LONGEST_EARLY_LIST ? known : null
  const { events, log } = await bounded(context.replica, async (trx) => ({
    events: await readEvents(trx, cursor, handledEarly, EVENTS_PER_BATCH),
    log: await logBeyond(trx, cursor),
  }))
  if (!isSameLog(cursor, log.identity)) return null
  if (log.pruned) {
    await passPruned(context, cursor, log.pruned, log.isReplica)
    return { consumed: NOTHING, more: true, early: 0 }
  }
  const consumed = events.length > 0 ? await apply(context, cursor, events, log.isReplica) : NOTHING
  const unsettled = events.filter((event) => !event.settled).length
  return { consumed, more: events.length === EVENTS_PER_BATCH, early: known.length + unsettled }
}

/** The position behind the last of them, where there is one. */
function endOf(events: readonly GeoEvent[]): EventPosition | null {
  const last = events.at(-1)
  return last ? { xactId: last.xactId, eventId: last.id } : null
}

/** Events were pruned before this site had read them: it goes on after them, and compares everything anew. */
async function passPruned(
  context: FollowContext,
  cursor: StoredCursor,
  pruned: EventPosition,
  fromReplica: boolean,
): Promise<void> {
  const { tracking, siteName, replicables, logger } = context
  logger.warn(
    { code: 'CURSOR_PRUNED', cursor, pruned },
    'Events were pruned before this site had read them: everything is reconciled',
  )
  await bounded(tracking, async (trx) => {
    await forgetEarly(trx, pruned)
    await saveCursor(trx, siteName, { ...cursor, ...pruned }, { eventCreatedAt: null, fromReplica })
    await askReconciliation(trx, [...replicables.keys()], 'CURSOR_PRUNED')
  })
}

async function apply(
  context: FollowContext,
  cursor: StoredCursor,
  events: readonly SeenEvent[],
  fromReplica: boolean,
): Promise<Consumed> {
  const [settled, early] = [events.filter((event) => event.settled), events.filter((event) => !event.settled)]
  const position = endOf(settled) ?? cursor
  return boundedByKey(context.tracking, async (trx) => {
    // As they are in this transaction: another process may have followed meanwhile.
    const handledEarly = new Set(await earlyIds(trx))
    const fresh = events.filter((event) => !handledEarly.has(event.id))
    const consumed = await consumeEvents(trx, context, fresh)
    if (early.length > 0) await rememberEarly(trx, early)
    if (settled.length === 0) return consumed
    await forgetEarly(trx, position)
    const read = { eventCreatedAt: settled.at(-1)?.createdAt ?? null, fromReplica }
    await saveCursor(trx, context.siteName, { ...cursor, ...position }, read)
    return consumed
  })
}

/**
 * Where a site begins: at the first start at the replica's own horizon (what came before is left to reconciliation). On another
 * cluster or timeline all kept events are read again and a full reconciliation begins.
 */
async function beginAnew(context: FollowContext, stored: StoredCursor | null): Promise<StoredCursor> {
  const { replica, tracking, siteName, replicables, logger } = context
  // What was pruned cannot be read again, and the reconciliation makes up for it.
  const horizon = stored ? null : await horizonOf(replica)
  const { identity, isReplica, pruned } = await logBeyond(replica, BEGINNING)
  const fresh = { ...(horizon ?? pruned ?? BEGINNING), ...identity }
  if (stored)
    logger.warn(
      { stored, identity },
      'The main database is on another timeline: events are read again from the beginning',
    )
  await bounded(tracking, async (trx) => {
    await forgetAllEarly(trx)
    await saveCursor(trx, siteName, fresh, { eventCreatedAt: null, fromReplica: isReplica })
    // What was missed until now is told by no event that is still to be read.
    await askReconciliation(trx, [...replicables.keys()], stored ? 'ANOTHER_TIMELINE' : null)
  })
  return fresh
}
