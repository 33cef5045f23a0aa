import type { Knex } from 'knex'
import { loadPrimaryChecksums } from '../blob/primary-checksum.ts'
import { parseRecordId, type Replicable } from '../blob/replicable.ts'
import type { CurrentSelection } from '../blob/selective-sync.ts'
import { existingIds, wantedIds } from '../blob/source.ts'
import { isDatabaseFailure, passesByItself } from '../database-failures.ts'
import { GeoError, messageOf } from '../errors.ts'
import type { LoggerLike } from '../log.ts'
import { lockInOrder } from '../registry/lock-order.ts'
import { oweReconciliation } from '../registry/reconciliation-table.ts'
import {
  type Announcement,
  type Announcements,
  insertPending,
  logReturned,
  resyncRecords,
  retryRefused,
} from '../registry/registry.ts'
import { wakeVerification } from '../registry/registry-verification.ts'
import { requestRemoval } from '../registry/removal.ts'
import { logSyncMove, logVerificationMove } from '../transition-log.ts'
import type { GeoEvent } from './event-log.ts'

/** What a batch of events leaves to be done, so that the loops that do it need not wait for their next look. */
export interface Consumed {
  readonly sync: boolean
  readonly verify: boolean
  readonly remove: boolean
}

export interface ConsumeContext {
  readonly replica: Knex
  readonly replicables: ReadonlyMap<string, Replicable>
  readonly logger: LoggerLike
  readonly selection: CurrentSelection
}

/**
 * Applies a batch of events to the registry, in the transaction that moves the cursor. Each event only says that something
 * happened to a record; what is true now is read from the replica, so order and repetition do not matter.
 */
export async function consumeEvents(
  trx: Knex.Transaction,
  context: ConsumeContext,
  events: readonly GeoEvent[],
): Promise<Consumed> {
  const { replicables, logger } = context
  const total = { sync: false, verify: false, remove: false }
  for (const [name, ofType] of groupByType(events)) {
    const replicable = replicables.get(name)
    if (!replicable) {
      logger.warn(
        { code: 'UNKNOWN_REPLICABLE', replicable: name, events: ofType.length },
        'Events of an undeclared type are skipped',
      )
      continue
    }
    const told = toldOf(replicable, ofType, logger)
    const consumed = await consumeType(trx, context, replicable, told).catch(async (reason: unknown) => {
      // What the host's query asks is refused, for one of its rows or for all: that is no fault of other types.
      if (!isDatabaseFailure(reason) || passesByItself(reason)) throw reason
      return skip(trx, context, replicable, reason)
    })
    total.sync ||= consumed.sync
    total.verify ||= consumed.verify
    total.remove ||= consumed.remove
  }
  return total
}

function groupByType(events: readonly GeoEvent[]): Map<string, GeoEvent[]> {
  const groups = new Map<string, GeoEvent[]>()
  for (const event of events) {
    const group = groups.get(event.replicableName)
    if (group) group.push(event)
    else groups.set(event.replicableName, [event])
  }
  return groups
}

type IdsByEvent = Record<'created' | 'updated' | 'deleted' | 'checksum_succeeded', Set<string>>

interface Told {
  readonly ids: IdsByEvent
  /** Of created and updated ones, as the last event has it. */
  readonly announced: Announcements
}

function toldOf(replicable: Replicable, events: readonly GeoEvent[], logger: LoggerLike): Told {
  const announced = new Map<string, Announcement>()
  const ids: IdsByEvent = { created: new Set(), updated: new Set(), deleted: new Set(), checksum_succeeded: new Set() }
  for (const event of events) {
    const id = event.recordId === null ? null : parseRecordId(replicable, event.recordId)
    if (id !== null && Object.hasOwn(ids, event.eventName)) {
      ids[event.eventName as keyof IdsByEvent].add(id)
      if (event.eventName === 'created' || event.eventName === 'updated') {
        const { createdAt, traceparent } = event
        announced.set(id, { createdAt, traceparent })
      }
    } else
      logger.warn(
        { code: 'INVALID_REQUEST', event: event.id, name: event.eventName },
        'An event that cannot be read is skipped',
      )
  }
  return { ids, announced }
}

async function consumeType(
  trx: Knex.Transaction,
  context: ConsumeContext,
  replicable: Replicable,
  { ids, announced }: Told,
): Promise<Consumed> {
  const { replica, logger } = context
  const changed = [...new Set([...ids.created, ...ids.updated, ...ids.deleted])]
  await lockInOrder(trx, replicable, [...new Set([...changed, ...ids.checksum_succeeded])])
  const wanted = new Set(await wantedOf(trx, context, replicable, changed))
  if (wanted.size > 0) {
    const { returned } = await insertPending(trx, replicable, [...wanted], announced)
    logReturned(trx, logger, replicable, returned)
    // A record that was deleted and is there has been inserted again under its old key: its file may be another.
    const again = new Set([...ids.updated, ...ids.deleted, ...(replicable.immutable ? [] : ids.created)])
    const resynced = await resyncRecords(
      trx,
      replicable,
      [...again].filter((id) => wanted.has(id)),
      announced,
    )
    for (const [from, rows] of Map.groupBy(resynced, (row) => row.from)) {
      logSyncMove(trx, logger, replicable, { method: 'resyncRecords', from, to: 'pending' }, rows)
    }
  }
  // Gone is gone whatever the scope says; a record that exists without a file or out of scope is left to reconciliation.
  const maybeGone = changed.filter((id) => !wanted.has(id))
  const stillThere = new Set(maybeGone.length > 0 ? await existingIds(replica, replicable, maybeGone) : [])
  const gone = maybeGone.filter((id) => !stillThere.has(id))
  const removing = gone.length > 0 ? await requestRemoval(trx, replicable, gone) : 0
  const verified = [...ids.checksum_succeeded]
  const due = verified.length > 0 ? await retryRefused(trx, replicable, verified) : 0
  const woken = await wakeByChecksums(trx, replica, replicable, verified)
  for (const [from, rows] of Map.groupBy(woken, (row) => row.from)) {
    const move = { method: 'wakeVerification', from, to: 'pending' } as const
    const movedIds = rows.map((row) => row.id)
    logVerificationMove(trx, logger, replicable.names.registryTable, move, movedIds)
  }
  return { sync: wanted.size > 0 || due > 0, verify: woken.length > 0, remove: removing > 0 }
}

/**
 * The changed records that this site is to hold. Where the host's scope fails that cannot be said: none are, which is put right by
 * a pass over the type that is owed from then on, so that the events of all other types need not wait for a person.
 */
async function wantedOf(
  trx: Knex.Transaction,
  { replica, selection, logger }: ConsumeContext,
  replicable: Replicable,
  changed: readonly string[],
): Promise<readonly string[]> {
  if (changed.length === 0) return []
  try {
    return await wantedIds(replica, replicable, changed, selection())
  } catch (reason) {
    if (!(reason instanceof GeoError) || reason.code !== 'SCOPE_FAILED') throw reason
    await skip(trx, { logger }, replicable, reason)
    return []
  }
}

/** The events of a type come to nothing; a pass over the type is owed from then on. */
async function skip(
  trx: Knex.Transaction,
  { logger }: Pick<ConsumeContext, 'logger'>,
  { name }: Replicable,
  reason: unknown,
): Promise<Consumed> {
  // Where it is our own statement that was refused, nothing can be written any more: then that is what is told.
  const isFirst = await oweReconciliation(trx, name, 'SCOPE_FAILED').catch(() => {
    throw reason
  })
  const message = `${messageOf(reason)}; events are skipped, and reconciled once it works`
  if (isFirst) logger.warn({ code: 'SCOPE_FAILED', replicable: name }, message)
  return { sync: false, verify: false, remove: false }
}

async function wakeByChecksums(trx: Knex.Transaction, replica: Knex, replicable: Replicable, ids: readonly string[]) {
  if (ids.length === 0) return []
  return wakeVerification(trx, replicable, ids, await loadPrimaryChecksums(replica, replicable, ids))
}
