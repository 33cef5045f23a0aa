import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'

export interface RangedBlob {
  readonly bytes: Buffer
  readonly etag: string
}

/** What was asked for, in this order. */
export interface AskedRange {
  readonly start: number
  readonly range: string | undefined
  readonly ifRange: string | undefined
  readonly authorization: string | undefined
}

/** Answers as the primary does, with Range and If-Range; `send` may send less than it is given and break the connection. */
export function rangedAnswer(
  blob: () => RangedBlob,
  send: (response: ServerResponse, rest: Buffer) => void = (response, rest) => void response.end(rest),
): { listener: RequestListener; asked: AskedRange[] } {
  const asked: AskedRange[] = []
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    const { bytes, etag } = blob()
    const { range, authorization } = request.headers
    const ifRange = request.headers['if-range'] as string | undefined
    const partial = range !== undefined && (ifRange === undefined || ifRange === etag)
    const start = partial ? Number(/^bytes=(\d+)-$/.exec(range)?.[1]) : 0
    asked.push({ start, range, ifRange, authorization })
    response.writeHead(partial ? 206 : 200, {
      etag,
      'geo-blob-bytes': bytes.length,
      'content-length': bytes.length - start,
      ...(partial && { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` }),
    })
    send(response, bytes.subarray(start))
  }
  return { listener, asked }
}

/** Sends so many bytes and breaks the connection once they have left. */
export function sendThenBreak(response: ServerResponse, rest: Buffer, bytes: number): void {
  if (bytes === 0) response.flushHeaders()
  response.write(rest.subarray(0, bytes), () => setImmediate(() => response.socket?.destroySoon()))
}
