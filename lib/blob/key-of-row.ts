import { GeoError, messageOf, truncateFailure } from '../errors.ts'
import type { Replicable } from './replicable.ts'

/** What the host says of a row's file: its key, null where the row has none; or why that cannot be said of this one row. */
export type RowKey =
  | { readonly key: string | null; readonly failure: null }
  | { readonly key: null; readonly failure: GeoError }

/** Asks the host's `blob`. Never throws: what is wrong with one row is no fault of those that are read with it. */
export function keyOfRow(replicable: Replicable, row: unknown, id: string): RowKey {
  try {
    const said: unknown = replicable.blob(row)
    if (said === null || said === undefined) return { key: null, failure: null }
    if (typeof said === 'string') return { key: said, failure: null }
    // A promise that nobody waits for may yet be rejected.
    Promise.resolve(said).catch(() => undefined)
    throw new TypeError(`it returned a value of type ${typeof said}`)
  } catch (reason) {
    const message = `The blob function of ${replicable.name} failed for #${id}: ${messageOf(reason)}`
    return { key: null, failure: new GeoError('BLOB_FUNCTION_FAILED', truncateFailure(message), { cause: reason }) }
  }
}
