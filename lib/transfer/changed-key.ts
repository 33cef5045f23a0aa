import type { ErrorCode } from '../errors.ts'
import type { Answer } from './exchange.ts'

const HEADER = 'geo-blob-key'

/** The header that names the file which an answer holds the bytes of, percent-encoded. */
export function sayKey(key: string): Readonly<Record<string, string>> {
  return { [HEADER]: encodeURIComponent(key) }
}

export function saidKey(headers: Answer['headers']): string | undefined {
  const said = headers[HEADER]
  if (typeof said !== 'string') return undefined
  try {
    return decodeURIComponent(said)
  } catch {
    // Not as we write it: no key that this site could have asked for.
    return said
  }
}

/**
 * What is wrong where the primary's row names another file by now than the replica says: its bytes must not get the name of the former
 * one. Null where it is the same, or where the answer does not tell: from a primary of before, or from where that has sent us.
 */
export function changedKey(wanted: string, said: string | undefined): { code: ErrorCode; message: string } | null {
  if (said === undefined || said === wanted) return null
  return { code: 'KEY_CHANGED', message: 'The primary has another file for this record by now; the replica is behind' }
}
