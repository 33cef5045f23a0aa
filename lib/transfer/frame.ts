import { z } from 'zod'
import { type ErrorCode, isErrorCode } from '../errors.ts'
import { oneLine } from '../printable.ts'

/**
 * How many small blobs travel in one response: frames of a 32-bit big-endian length, a JSON header of that length, and the
 * bytes of the blob where the header says `blob`. The last frame says `end` and how many came before it.
 */
export type FrameHeader =
  /** `key`: the file that the bytes are of, as the primary's row says; a primary of before does not tell. */
  | { readonly frame: 'blob'; readonly id: string; readonly bytes: number; readonly key?: string | undefined }
  /** Too large to be sent with others: ask for it by itself. */
  | { readonly frame: 'large'; readonly id: string; readonly bytes: number }
  /** The response is full: ask again. */
  | { readonly frame: 'later'; readonly id: string; readonly bytes: number }
  | { readonly frame: 'error'; readonly id: string; readonly code: ErrorCode; readonly message: string }
  | { readonly frame: 'end'; readonly count: number }

export const FRAMES_CONTENT_TYPE = 'application/vnd.geo.blobs'
/** A blob beyond this size gets a request of its own. */
export const SMALL_BLOB_BYTES = 256 * 1024
/** A response holds about this much at the most. */
export const RESPONSE_BYTES = 4 * 1024 * 1024
/** How many blobs may be asked for in one request. */
export const BLOBS_PER_REQUEST = 100

export function encodeHeader(header: FrameHeader): Buffer {
  const json = Buffer.from(JSON.stringify(header))
  const length = Buffer.allocUnsafe(4)
  length.writeUInt32BE(json.length)
  return Buffer.concat([length, json])
}

export interface Frame {
  readonly header: FrameHeader
  /** A view on the response; empty but for `blob`. */
  readonly body: Uint8Array
}

/** `early`: frames are missing, or part of one. `late`: more follows than the primary ever sends. */
export type FramesEnding = 'complete' | 'early' | 'late'

/** The whole frames in a response, and how it ended; null for bytes that are no frames. */
export function decodeFrames(response: Buffer): { frames: Frame[]; ending: FramesEnding } | null {
  const frames: Frame[] = []
  for (let offset = 0; offset + 4 <= response.length; ) {
    const bodyAt = offset + 4 + response.readUInt32BE(offset)
    if (bodyAt > response.length) break
    const header = parseHeader(response.toString('utf8', offset + 4, bodyAt))
    if (!header) return null
    if (header.frame === 'end') {
      if (bodyAt < response.length) return { frames, ending: 'late' }
      return { frames, ending: header.count === frames.length ? 'complete' : 'early' }
    }
    const bytes = header.frame === 'blob' ? header.bytes : 0
    if (bodyAt + bytes > response.length) break
    frames.push({ header, body: response.subarray(bodyAt, bodyAt + bytes) })
    offset = bodyAt + bytes
  }
  return { frames, ending: 'early' }
}

const size = z.int().min(0)
const headerShape: z.ZodType<FrameHeader> = z.discriminatedUnion('frame', [
  z.object({ frame: z.literal('blob'), id: z.string(), bytes: size, key: z.string().optional() }),
  z.object({ frame: z.literal('large'), id: z.string(), bytes: size }),
  z.object({ frame: z.literal('later'), id: z.string(), bytes: size }),
  z.object({
    frame: z.literal('error'),
    id: z.string(),
    code: z.string().transform((code) => (isErrorCode(code) ? code : 'HTTP_STATUS')),
    message: z.string().transform((message) => oneLine(message)),
  }),
  z.object({ frame: z.literal('end'), count: size }),
])

function parseHeader(text: string): FrameHeader | null {
  try {
    return headerShape.safeParse(JSON.parse(text)).data ?? null
  } catch {
    // Not JSON: the same as a header of another shape.
    return null
  }
}
