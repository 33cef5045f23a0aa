import type { Socket } from 'node:net'
import type { Response } from 'express'

/** By connection: dozens of requests may wait on one, and one listener tells all of them that it has ended. */
const waiting = new WeakMap<Socket, Set<() => void>>()

/** Whether nobody can take the answer any more, or it has been taken. */
export function isGone(response: Response): boolean {
  return response.destroyed || response.closed || response.req.socket.destroyed
}

/**
 * Calls `then` once, when the answer has ended or nobody can take it any more; at once where that is so already, for no event tells
 * of it again. An answer that waits for its turn on a connection (pipelined requests) is told nothing by Node 22 when the connection
 * ends, so the connection is asked as well.
 */
export function whenGone(response: Response, then: () => void): void {
  if (isGone(response)) {
    then()
    return
  }
  const { socket } = response.req
  const ones = waiting.get(socket) ?? listenTo(socket)
  const once = () => {
    if (ones.delete(once)) then()
  }
  ones.add(once)
  response.once('close', once)
}

function listenTo(socket: Socket): Set<() => void> {
  const ones = new Set<() => void>()
  waiting.set(socket, ones)
  socket.once('close', () => {
    for (const one of ones) one()
  })
  return ones
}
