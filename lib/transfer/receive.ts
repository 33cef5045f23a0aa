import type { MessagePort } from 'node:worker_threads'
import { Agent, type Dispatcher, request } from 'undici'
import { messageOf } from '../errors.ts'
import { Arrival } from './arrival.ts'
import type { ReceiveOutcome, WantedBlob } from './blob-order.ts'
import { decodeFrames, FRAMES_CONTENT_TYPE, type Frame, RESPONSE_BYTES } from './frame.ts'
import { MISSING_ON_PRIMARY, type Refusal, readRefusal, unreachable } from './refusal.ts'

export interface ReceiveTask {
  readonly url: string
  readonly authorization: string
  readonly idleTimeoutMs: number
  readonly root: string
  readonly durable: boolean
  readonly blobs: readonly WantedBlob[]
  /** A message on it cuts the transfer. */
  readonly cut: MessagePort
}

export interface ReceiveResult {
  readonly outcomes: readonly ReceiveOutcome[]
  /** Why the request as a whole got no further; nothing is said of blobs that are not among the outcomes. */
  readonly refusal: Refusal | null
}

let agent: Agent | null = null
function agentOf(idleTimeoutMs: number): Agent {
  // One per thread, with connections kept alive between requests. Both timeouts count silence, not length.
  agent ??= new Agent({ headersTimeout: idleTimeoutMs, bodyTimeout: idleTimeoutMs, keepAliveTimeout: 30_000 })
  return agent
}

async function ask(
  task: ReceiveTask,
  options: { method: 'GET' } | { method: 'POST'; body: string },
  use: (response: Dispatcher.ResponseData) => Promise<ReceiveResult>,
): Promise<ReceiveResult> {
  const controller = new AbortController()
  task.cut.once('message', () => controller.abort())
  try {
    const response = await request(task.url, {
      ...options,
      dispatcher: agentOf(task.idleTimeoutMs),
      signal: controller.signal,
      headers: {
        authorization: task.authorization,
        ...(options.method === 'POST' && { 'content-type': 'application/json' }),
      },
    })
    return response.statusCode === 200 ? await use(response) : { outcomes: [], refusal: await readRefusal(response) }
  } catch (reason) {
    return { outcomes: [], refusal: unreachable(reason) }
  } finally {
    task.cut.close()
  }
}

/** Runs in a thread: fetches many small blobs with one request. */
export function receiveMany(task: ReceiveTask): Promise<ReceiveResult> {
  const body = JSON.stringify({ ids: task.blobs.map((blob) => blob.id) })
  return ask(task, { method: 'POST', body }, async (response) => {
    if (!String(response.headers['content-type']).startsWith(FRAMES_CONTENT_TYPE)) {
      await response.body.dump()
      return { outcomes: [], refusal: invalid('The answer holds no frames') }
    }
    const { buffer, cause } = await collect(response.body)
    const decoded = decodeFrames(buffer)
    if (!decoded) return { outcomes: [], refusal: invalid('The answer holds something other than frames') }
    const outcomes = await storeAll(task, decoded.frames)
    return { outcomes, refusal: decoded.complete ? null : unreachable(cause ?? new Error('The answer ended early')) }
  })
}

function invalid(message: string): Refusal {
  return { kind: 'failed', code: 'INVALID_RESPONSE', message }
}

/** What came of a body, also when it was cut: whole frames in it are good. */
async function collect(body: AsyncIterable<Buffer>): Promise<{ buffer: Buffer; cause: unknown }> {
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of body) {
      chunks.push(chunk)
      length += chunk.length
      if (length > 2 * RESPONSE_BYTES) throw new RangeError('The answer is longer than this site asks for')
    }
    return { buffer: Buffer.concat(chunks), cause: null }
  } catch (cause) {
    return { buffer: Buffer.concat(chunks), cause }
  }
}

async function storeAll(task: ReceiveTask, frames: readonly Frame[]): Promise<ReceiveOutcome[]> {
  const wanted = new Map(task.blobs.map((blob) => [blob.id, blob]))
  const outcomes: ReceiveOutcome[] = []
  const arrivals: Arrival[] = []
  for (const { header, body } of frames) {
    if (header.frame === 'end') continue
    const blob = wanted.get(header.id)
    // Not asked for, or a second time: nothing of it is believed.
    if (!blob || !wanted.delete(header.id)) continue
    if (header.frame === 'error') {
      const message = header.code === 'FILE_NOT_FOUND' ? MISSING_ON_PRIMARY : header.message
      outcomes.push({ outcome: 'failed', id: header.id, code: header.code, message })
    } else if (header.frame !== 'blob') outcomes.push({ outcome: header.frame, id: header.id, bytes: header.bytes })
    else {
      const arrival = new Arrival(task.root, blob)
      await arrival.begin()
      arrival.write(body)
      arrivals.push(arrival)
    }
  }
  // All written before the first is synced: the disk sorts them better than we can.
  return [...outcomes, ...arrivals.map((arrival) => arrival.finish(task.durable))]
}

/** Runs in a thread: fetches one blob of any size with a request of its own. */
export function receiveOne(task: ReceiveTask): Promise<ReceiveResult> {
  const [blob] = task.blobs
  if (!blob) throw new RangeError('receiveOne needs a blob')
  return ask(task, { method: 'GET' }, async (response) => {
    const length = response.headers['geo-blob-bytes']
    if (typeof length !== 'string' || !/^[0-9]{1,15}$/.test(length)) {
      await response.body.dump()
      return { outcomes: [], refusal: invalid('The answer does not say how long the blob is') }
    }
    const announced = Number(length)
    const arrival = new Arrival(task.root, blob)
    await arrival.begin()
    try {
      for await (const chunk of response.body as AsyncIterable<Buffer>) {
        arrival.write(chunk)
        if (arrival.bytes > announced) {
          return outcome(arrival.abandon('BODY_TOO_LONG', `More than the announced ${announced} bytes arrived`))
        }
      }
    } catch (reason) {
      return outcome(arrival.abandon('BODY_TRUNCATED', `Error downloading file: ${messageOf(reason)}`))
    }
    if (arrival.bytes < announced) {
      return outcome(arrival.abandon('BODY_TRUNCATED', `${arrival.bytes} of the announced ${announced} bytes arrived`))
    }
    return outcome(arrival.finish(task.durable))
  })
}

function outcome(only: ReceiveOutcome): ReceiveResult {
  return { outcomes: [only], refusal: null }
}
