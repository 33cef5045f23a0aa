import type { Knex } from 'knex'
import { keyOfRow } from '../blob/key-of-row.ts'
import { parseRecordId, type Replicable } from '../blob/replicable.ts'
import { admitted } from '../epoch.ts'
import { GeoError } from '../errors.ts'
import type { FeatureGate } from '../feature.ts'
import { statementsIn, type TransactionLike } from '../host-transaction.ts'
import type { SiteDirectory } from '../site.ts'
import { tracePublish } from '../tracing.ts'
import { insertHostEvent } from './event-log.ts'

/** What the primary does to its checksums when the host writes a row; in the host's transaction. */
export interface PrimaryVerification {
  /** The row has a new file: it is to be hashed. */
  requestChecksum(
    trx: Pick<Knex, 'raw'>,
    builder: Knex,
    replicable: Replicable,
    recordId: string,
    change: 'created' | 'updated',
  ): Promise<void>
  /** The row has a new file while its type is switched off: a checksum of the former one is void. */
  forgetChecksum(trx: Pick<Knex, 'raw'>, replicable: Replicable, recordId: string): Promise<void>
}

/**
 * Tells the other sites what the host does to one row. Each call belongs into the transaction of that write, which is one of
 * Knex or of any library that runs a statement in it, and throws GeoError `INVALID_RECORD_ID` for a row without its key,
 * `STALE_EPOCH` where another site has become the primary, `READ_ONLY_MODE` while this one takes no writes: let the transaction
 * fail with it. Where the table has the event triggers, what they have told already is not told twice.
 */
export interface Replicator<Row> {
  /** After the insert of a row whose file is already in the store. */
  created(row: Row, trx: TransactionLike): Promise<void>
  /** After an update that gave the row a file, another key, or other bytes under its key. */
  updated(row: Row, trx: TransactionLike): Promise<void>
  /** After the delete. Remove the file once the transaction has committed. */
  deleted(row: Row, trx: TransactionLike): Promise<void>
}

/**
 * Writes events under the conditions of GB.C.2: this site is the primary, the flag is on, there is a secondary. An insert
 * that fails rejects, and fails the host's transaction with it.
 */
export function replicatorOf<Row>(
  main: Knex,
  replicable: Replicable<Row>,
  sites: SiteDirectory,
  gate: FeatureGate,
  verification: PrimaryVerification,
  wakeAfter: (trx: TransactionLike) => void,
): Replicator<Row> {
  const type = replicable as Replicable
  const recordIdOf = (row: Row): string => {
    const value = (row as Record<string, unknown>)[replicable.keyColumn]
    const id = parseRecordId(type, String(value))
    if (id !== null) return id
    throw new GeoError('INVALID_RECORD_ID', `A row of ${replicable.table} has the key ${JSON.stringify(value)}`)
  }

  async function publishes(): Promise<boolean> {
    await sites.ensureFresh()
    sites.requireUnfenced()
    return sites.role === 'primary' && gate.replicationEnabled(type)
  }

  async function changed(change: 'created' | 'updated', row: Row, trx: TransactionLike): Promise<void> {
    await sites.ensureFresh()
    sites.requireUnfenced()
    if (sites.role !== 'primary') return
    const recordId = recordIdOf(row)
    const statements = statementsIn(trx, main)
    if (!gate.replicationEnabled(type)) {
      // What is recorded of the former file must not stand when the flag comes on: the new one would be called corrupt.
      if (change === 'updated') await verification.forgetChecksum(statements, type, recordId)
      return
    }
    await verification.requestChecksum(statements, main, type, recordId, change)
    await tracePublish({ type: replicable.name, id: recordId, event: change }, (traceparent) =>
      admitted(() =>
        insertHostEvent(statements, sites.writer, replicable.name, change, {
          recordId,
          ...(traceparent !== null && { traceparent }),
        }),
      ),
    )
    wakeAfter(trx)
  }

  return Object.freeze({
    created: (row: Row, trx: TransactionLike) => changed('created', row, trx),
    updated: (row: Row, trx: TransactionLike) => changed('updated', row, trx),
    async deleted(row: Row, trx: TransactionLike) {
      if (!(await publishes())) return
      const recordId = recordIdOf(row)
      // A row whose key cannot be said may go nevertheless: sites know where their copies are.
      const { key } = keyOfRow(type, row, recordId)
      const event = { recordId, ...(key !== null && { blobPath: key }) }
      const statements = statementsIn(trx, main)
      await admitted(() => insertHostEvent(statements, sites.writer, replicable.name, 'deleted', event))
    },
  })
}
