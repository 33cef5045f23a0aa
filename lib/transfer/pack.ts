import { move, transferableSymbol, valueSymbol } from 'piscina'
import { confinedPath } from '../blob/confine.ts'
import { failureOf } from '../blob/disk-failure.ts'
import type { ErrorCode } from '../errors.ts'
import { encodeHeader, RESPONSE_BYTES, SMALL_BLOB_BYTES } from './frame.ts'
import { readSmall } from './read-small.ts'

/** A blob to be sent with others. */
export interface PackItem {
  readonly id: string
  readonly root: string
  readonly key: string
}

export interface PackTask {
  readonly items: readonly PackItem[]
  /** How many frames the caller sends before these; the last frame counts them too. */
  readonly framesBefore: number
}

export interface PackResult {
  readonly response: Uint8Array<ArrayBuffer>
  /** What could not be read, for the log; the response says it too. */
  readonly failures: readonly { readonly id: string; readonly code: ErrorCode; readonly message: string }[]
}

/** Runs in a thread: reads small blobs one after another into one response. */
export function packBlobs({ items, framesBefore }: PackTask): PackResult {
  const failures: PackResult['failures'][number][] = []
  const parts: Buffer[] = []
  let total = 0
  for (const { id, root, key } of items) {
    try {
      const found = readSmall(confinedPath(root, key), RESPONSE_BYTES - total)
      if (found.body) {
        parts.push(encodeHeader({ frame: 'blob', id, bytes: found.body.length, key }), found.body)
        total += found.body.length
      } else {
        parts.push(encodeHeader({ frame: found.bytes > SMALL_BLOB_BYTES ? 'large' : 'later', id, bytes: found.bytes }))
      }
    } catch (reason) {
      const { code, message } = failureOf(reason, key)
      const missing = code === 'FILE_MISSING'
      const header = missing ? { code: 'FILE_NOT_FOUND' as const, message: `#${id} file not found` } : { code, message }
      parts.push(encodeHeader({ frame: 'error', id, ...header }))
      failures.push({ id, ...header })
    }
  }
  parts.push(encodeHeader({ frame: 'end', count: framesBefore + items.length }))
  const response = new Uint8Array(Buffer.concat(parts))
  const result: PackResult = { response, failures }
  // The bytes are handed over, not copied: the main thread only passes them on to the socket.
  const handedOver = { [transferableSymbol]: [response.buffer], [valueSymbol]: result }
  return move(handedOver as unknown as Parameters<typeof move>[0]) as unknown as PackResult
}
