import type { RequestHandler, Response } from 'express'
import type { Clock } from '../clock.ts'
import { GeoError } from '../errors.ts'
import type { LoggerLike } from '../log.ts'
import { whenGone } from './when-gone.ts'

/** What a client that takes its time may cost: no door of ours waits for one without end. */

export interface Patience {
  readonly clock: Clock
  readonly logger: LoggerLike
  readonly idleTimeoutMs: number
}

/**
 * Cuts whoever has not sent the body of a request in that time, which is told 408 unless it has its answer already: of one that was
 * refused, Node would read the body on without end. Bodies at our doors are small, so it is their whole time that counts: a byte now
 * and then is no progress. Mount it at our own paths only, and before the body is read.
 */
export function bodyInTime({ clock, logger, idleTimeoutMs }: Patience): RequestHandler {
  return (request, response, next) => {
    const ended = new AbortController()
    request.once('close', () => ended.abort())
    void clock.sleep(idleTimeoutMs, ended.signal).then(() => {
      if (ended.signal.aborted || request.complete) return
      const { code, status, message } = tooSlow(`The request body has not ended after ${idleTimeoutMs} ms`)
      logger.warn({ code, status, path: request.path, from: request.ip }, message)
      if (response.headersSent) return request.destroy()
      response.once('finish', () => request.destroy())
      response.status(status).set('connection', 'close').json({ message, code })
    })
    next()
  }
}

/**
 * Sends an answer, and cuts a client that takes nothing of it for so long: until it is cut it costs memory and an open file.
 * @throws GeoError `CLIENT_TOO_SLOW`, and what `send` rejects with
 */
export async function takenInTime(response: Response, idleTimeoutMs: number, send: () => Promise<void>): Promise<void> {
  const socket = response.socket as (Response['socket'] & { server?: { keepAliveTimeout?: number } }) | null
  const before = socket?.timeout ?? 0
  let silent = false
  const cut = () => {
    silent = true
    response.destroy()
  }
  // That of the socket, for it sees each byte that leaves for the network, where streams see whole chunks.
  response.setTimeout(idleTimeoutMs, cut)
  // One that waits for its turn on the connection is not told by Node 22, and would wait with its file open without end. Any other
  // Node tells itself, before or after this, and once only: a host may count by it.
  whenGone(response, () => {
    if (response.closed || response.destroyed) return
    response.destroy()
    setImmediate(() => {
      if (!response.closed) response.emit('close')
    })
  })
  try {
    await send()
  } catch (reason) {
    if (!silent) throw reason
    throw tooSlow(`Nothing of the answer was taken for ${idleTimeoutMs} ms`, reason)
  } finally {
    response.off('timeout', cut)
    // Else Node gives the connection the limits of the server again, when the next request comes on it.
    if (!socket?.server?.keepAliveTimeout) socket?.setTimeout(before)
  }
}

function tooSlow(message: string, cause?: unknown): GeoError {
  return new GeoError('CLIENT_TOO_SLOW', message, { cause })
}
