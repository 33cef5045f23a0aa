import type { Knex } from 'knex'

/** A transaction of another library than Knex. A client of `pg` fits as it is, once it has sent `begin`. */
export interface QueryingTransaction {
  /**
   * Runs one statement with the placeholders `$1`, `$2` … in the transaction. The values are strings, and what `available` of
   * the declaration binds. What it resolves with is not read; it rejects where the statement fails.
   */
  query(text: string, values: unknown[]): Promise<unknown>
}

/** The open transaction of the host that a call belongs to. */
export type TransactionLike = Knex.Transaction | QueryingTransaction

/** Runs statements as Knex writes them in the host's transaction, whichever library it is of. `builder` connects to nothing. */
export function statementsIn(trx: TransactionLike, builder: Knex): Pick<Knex, 'raw'> {
  if (isOfKnex(trx)) return trx
  const raw = async (sql: string, bindings: readonly Knex.RawBinding[]): Promise<unknown> => {
    const native = builder.raw(sql, bindings).toSQL().toNative()
    return trx.query(native.sql, [...native.bindings])
  }
  return { raw: raw as unknown as Knex['raw'] }
}

/** Calls back once the transaction has ended, well or not, where its library tells. */
export function afterEnd(trx: TransactionLike, listener: () => void): void {
  if (isOfKnex(trx)) trx.executionPromise.then(listener, listener)
}

function isOfKnex(trx: TransactionLike): trx is Knex.Transaction {
  return typeof trx === 'function'
}
