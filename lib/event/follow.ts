import type { Knex } from 'knex'
import { bounded, boundedByKey } from '../databases.ts'
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
import {
  BEGINNING,
  type EventPosition,
  type GeoEvent,
  horizonOf,
  readEarlyEvents,
  readSettledEvents,
} from './event-log.ts'
import { prunedBeyond } from './prune.ts'

const EVENTS_PER_BATCH = 500
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
 * event is applied exactly once, also when the process dies between two statements.
 */
export async function followEvents(context: FollowContext): Promise<Followed> {
  const cursor = await currentCursor(context)
  const { settled, pruned } = await bounded(context.replica, async (trx) => ({
    settled: await readSettledEvents(trx, cursor, EVENTS_PER_BATCH),
    pruned: await prunedBeyond(trx, cursor.systemIdentifier, cursor),
  }))
  if (pruned) {
    await passPruned(context, cursor, pruned)
    return { consumed: NOTHING, more: true, early: 0 }
  }
  const consumed = settled.length > 0 ? await applySettled(context, cursor, settled) : NOTHING
  if (settled.length === EVENTS_PER_BATCH) return { consumed, more: true, early: 0 }
  // Where events go on coming, those of the next moments are read together: what a look costs does not depend on how many it finds.
  const ahead = await followEarly(context, { ...cursor, ...endOf(settled) })
  return { ...ahead, consumed: eitherOf(consumed, ahead.consumed) }
}

/** Applies events that an open transaction, which began before them, keeps from being settled. */
async function followEarly(context: FollowContext, cursor: StoredCursor): Promise<Followed> {
  const { tracking, replica } = context
  const known = await earlyIds(tracking)
  const nothing = { consumed: NOTHING, more: false, early: known.length }
  if (known.length >= LONGEST_EARLY_LIST) return nothing
  const early = await bounded(replica, (trx) => readEarlyEvents(trx, cursor, known, EVENTS_PER_BATCH))
  if (early.length === 0) return nothing
  const consumed = await boundedByKey(tracking, async (trx) => {
    await rememberEarly(trx, early)
    return consumeEvents(trx, context, early)
  })
  return { consumed, more: early.length === EVENTS_PER_BATCH, early: known.length + early.length }
}

function eitherOf(left: Consumed, right: Consumed): Consumed {
  return {
    sync: left.sync || right.sync,
    verify: left.verify || right.verify,
    remove: left.remove || right.remove,
  }
}

/** The position behind the last of them, where there is one. */
function endOf(events: readonly GeoEvent[]): EventPosition | null {
  const last = events.at(-1)
  return last ? { xactId: last.xactId, eventId: last.id } : null
}

/** Events were pruned before this site had read them: it goes on after them, and compares everything anew. */
async function passPruned(context: FollowContext, cursor: StoredCursor, pruned: EventPosition): Promise<void> {
  const { tracking, siteName, replicables, logger } = context
  logger.warn(
    { code: 'CURSOR_PRUNED', cursor, pruned },
    'Events were pruned before this site had read them: everything is reconciled',
  )
  await tracking.transaction(async (trx) => {
    await forgetEarly(trx, pruned)
    await saveCursor(trx, siteName, { ...cursor, ...pruned }, null)
    await askReconciliation(trx, [...replicables.keys()], 'CURSOR_PRUNED')
  })
}

async function applySettled(
  context: FollowContext,
  cursor: StoredCursor,
  events: readonly GeoEvent[],
): Promise<Consumed> {
  const last = events.at(-1)
  const position = endOf(events) ?? cursor
  return boundedByKey(context.tracking, async (trx) => {
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
  // What was pruned cannot be read again, and the reconciliation makes up for it.
  const kept = await prunedBeyond(replica, identity.systemIdentifier, BEGINNING)
  const fresh = { ...(stored ? (kept ?? BEGINNING) : await horizonOf(replica)), ...identity }
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
