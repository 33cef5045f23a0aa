import type { ErrorCode } from '../errors.ts'
import { Arrival } from './arrival.ts'
import type { ReceiveOutcome, ReceiveResult, ReceiveTask } from './blob-order.ts'
import { changedKey } from './changed-key.ts'
import { type Answer, exchange } from './exchange.ts'
import { decodeFrames, FRAMES_CONTENT_TYPE, type Frame, RESPONSE_BYTES, SMALL_BLOB_BYTES } from './frame.ts'
import { Line } from './line.ts'
import { MISSING_ON_PRIMARY, type Refusal, readRefusal, unreachable } from './refusal.ts'

/** More than a primary ever sends in one answer. */
const MOST_BYTES = 2 * RESPONSE_BYTES

/** Runs in a thread: fetches many small blobs with one request. */
export async function receiveMany(task: ReceiveTask): Promise<ReceiveResult> {
  const line = new Line(task.line)
  try {
    return { ...(await fetchMany(task, line)), unspent: line.unspent }
  } catch (reason) {
    return { outcomes: [], refusal: unreachable(reason), unspent: line.unspent }
  } finally {
    line.close()
  }
}

async function fetchMany(task: ReceiveTask, line: Line): Promise<Omit<ReceiveResult, 'unspent'>> {
  const { authorization, traceparent } = task
  const headers = { authorization, 'content-type': 'application/json', ...(traceparent && { traceparent }) }
  const body = JSON.stringify({ ids: task.blobs.map((blob) => blob.id) })
  const answer = await exchange({ method: 'POST', url: task.url, headers, body }, task.idleTimeoutMs, line)
  if (answer.status !== 200) return { outcomes: [], refusal: await readRefusal(answer) }
  if (!String(answer.headers['content-type']).startsWith(FRAMES_CONTENT_TYPE)) {
    answer.dump()
    return { outcomes: [], refusal: notBelieved('INVALID_RESPONSE', 'The answer holds no frames') }
  }
  const { buffer, tooLong, cause } = await collect(answer)
  const decoded = decodeFrames(buffer)
  // Nothing of it is believed, as of a single blob with more bytes than were announced: somebody has altered it.
  if (tooLong || decoded?.ending === 'late') {
    return { outcomes: [], refusal: notBelieved('BODY_TOO_LONG', 'The answer goes on beyond its last frame') }
  }
  if (!decoded) {
    return { outcomes: [], refusal: notBelieved('INVALID_RESPONSE', 'The answer holds something other than frames') }
  }
  const outcomes = await storeAll(task, decoded.frames)
  if (decoded.ending === 'complete') return { outcomes, refusal: null }
  // What broke it may be what it began with, such as a file that a filter on the way lets nobody have: then it would do so again.
  const first = decoded.frames.length === 0 && task.blobs[0]
  if (first) outcomes.push({ outcome: 'large', id: first.id, bytes: SMALL_BLOB_BYTES + 1 })
  return { outcomes, refusal: unreachable(cause ?? new Error('The answer ended early')) }
}

function notBelieved(code: ErrorCode, message: string): Refusal {
  return { kind: 'failed', code, message }
}

/** What came of a body, also when it was cut: whole frames in it are good. */
async function collect(answer: Answer): Promise<{ buffer: Buffer; tooLong: boolean; cause: unknown }> {
  const chunks: Buffer[] = []
  let length = 0
  let cause: unknown = null
  const keep = (chunk: Buffer): void => {
    chunks.push(chunk)
    length += chunk.length
    if (length > MOST_BYTES) throw new RangeError('The rest of the answer is not wanted')
  }
  try {
    await answer.read(keep, { keeps: true })
  } catch (reason) {
    cause = reason
  }
  return { buffer: Buffer.concat(chunks), tooLong: length > MOST_BYTES, cause }
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
      continue
    }
    if (header.frame !== 'blob') {
      outcomes.push({ outcome: header.frame, id: header.id, bytes: header.bytes })
      continue
    }
    const changed = changedKey(blob.key, header.key)
    if (changed) outcomes.push({ outcome: 'failed', id: header.id, ...changed })
    else {
      const arrival = new Arrival(task.root, blob)
      await arrival.begin({ toHandOver: task.durable })
      arrival.write(body)
      arrivals.push(arrival)
    }
  }
  // All written before the first is synced: the disk sorts them better than we can.
  if (task.durable) for (const arrival of arrivals) arrival.handOver()
  return [...outcomes, ...arrivals.map((arrival) => arrival.finish(task.durable))]
}
