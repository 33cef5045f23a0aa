import { statfsSync } from 'node:fs'
import { type DiskFailure, failureOf } from '../blob/disk-failure.ts'
import { freeBytesOf, reserveBytesOf } from '../blob/free-space.ts'
import { type ErrorCode, messageOf } from '../errors.ts'
import { Arrival } from './arrival.ts'
import { askForBlob, type BlobAnswer, START_AGAIN } from './ask-blob.ts'
import type { ReceiveOutcome, ReceiveResult, ReceiveTask, WantedBlob } from './blob-order.ts'
import { Line } from './line.ts'
import { type Refusal, unreachable } from './refusal.ts'

/** So many answers in a row that brought the blob no further are a failure of the blob. */
const FRUITLESS_ANSWERS = 3
/** How much is written before the disk is asked to begin with it. */
const SYNC_BYTES = 64 * 1024 * 1024
/** How much is written before the volume is looked at again, where a reserve of it is to stay free. */
const LOOK_BYTES = 16 * 1024 * 1024

/** Runs in a thread: fetches one blob of any size, going on where a connection broke. */
export async function receiveOne(task: ReceiveTask): Promise<ReceiveResult> {
  const [blob] = task.blobs
  if (!blob) throw new RangeError('receiveOne needs a blob')
  const line = new Line(task.line)
  const reception = new Reception(task, blob, line)
  try {
    const ended = await reception.run()
    return 'kind' in ended
      ? { outcomes: [], refusal: ended, unspent: line.unspent }
      : { outcomes: [ended], refusal: null, unspent: line.unspent }
  } finally {
    reception.close()
    line.close()
  }
}

/** One blob on its way, over as many connections as it takes. */
class Reception {
  readonly #task: ReceiveTask
  readonly #blob: WantedBlob
  readonly #line: Line
  #arrival: Arrival
  /** The version that the arrival holds bytes of; null where it cannot be gone on with. */
  #etag: string | null = null
  #requests = 0
  #fruitless = 0
  #toSync = SYNC_BYTES
  #toLook = 0

  constructor(task: ReceiveTask, blob: WantedBlob, line: Line) {
    this.#task = task
    this.#blob = blob
    this.#line = line
    this.#arrival = new Arrival(task.root, blob, { storedBy: task.algorithm })
  }

  async run(): Promise<ReceiveOutcome | Refusal> {
    await this.#findPart()
    for (;;) {
      const ended = await this.#attempt()
      if (ended) return ended
    }
  }

  close(): void {
    this.#arrival.close()
  }

  async #findPart(): Promise<void> {
    const etag = this.#arrival.partThere(this.#task.replicableName)
    if (etag === null) return
    this.#etag = etag
    await this.#arrival.beginPart(this.#task.replicableName, etag)
    await this.#arrival.rereadPart(this.#line.signal)
  }

  /** One request and its answer. Null: the connection broke, and another is worth it. */
  async #attempt(): Promise<ReceiveOutcome | Refusal | null> {
    if (!this.#line.live) return this.#cutFromHere()
    if (this.#arrival.failed) return this.#arrival.abandon('STORAGE_ERROR', 'Error creating temporary file')
    const before = { etag: this.#etag, bytes: this.#arrival.bytes }
    let answer: Awaited<ReturnType<typeof askForBlob>>
    try {
      const goOn = before.etag === null ? null : { etag: before.etag, start: before.bytes }
      answer = await askForBlob(this.#task, this.#line, await this.#authorization(), goOn)
    } catch (reason) {
      // Nobody answers: nothing is known against the blob, and what there is of it stays.
      return this.#line.live ? unreachable(reason) : this.#cutFromHere()
    }
    if (answer === START_AGAIN) {
      if (!this.#line.live) return this.#cutFromHere()
      this.#arrival.abandon('BODY_TRUNCATED', START_AGAIN)
      this.#etag = null
      return this.#afterCut(false, 'The part that is here does not fit what the primary has')
    }
    if ('kind' in answer) return answer
    // Without the lease the part and its note may be another's by now. Reading ends with the first chunk then.
    if (answer.start === 0 && this.#line.live) await this.#begin(answer.etag)
    const noRoom = this.#line.live ? this.#noRoomFor(answer.total - answer.start) : null
    if (noRoom) {
      answer.dump()
      return this.#arrival.abandon(noRoom.code, noRoom.message)
    }
    const why = await this.#read(answer)
    if (!this.#line.live) return this.#cutFromHere()
    if (why === null) return this.#arrival.finish(this.#task.durable)
    if (why.code !== 'BODY_TRUNCATED' || this.#arrival.failed) return this.#arrival.abandon(why.code, why.message)
    const sameVersion = before.etag === null || before.etag === this.#etag
    return this.#afterCut(sameVersion && this.#arrival.bytes > before.bytes, why.message)
  }

  /** The one that came with the task has a life of a minute, and the blob may have been under way for hours. */
  async #authorization(): Promise<string> {
    const first = this.#requests === 0
    this.#requests += 1
    return first ? this.#task.authorization : this.#line.authorization()
  }

  /** From the first byte on: in the part file of this version, or where it has no name in a file that is lost with a cut. */
  async #begin(etag: string | null): Promise<void> {
    this.#arrival.close()
    this.#arrival = new Arrival(this.#task.root, this.#blob, { storedBy: this.#task.algorithm })
    this.#toSync = SYNC_BYTES
    this.#etag = etag
    if (etag === null) await this.#arrival.begin()
    else await this.#arrival.beginPart(this.#task.replicableName, etag)
  }

  /** Writes what comes. Null where the blob is whole; else why it is not. */
  async #read({ total, read }: BlobAnswer): Promise<{ code: ErrorCode; message: string } | null> {
    const arrival = this.#arrival
    let tooLong = false
    let noRoom: DiskFailure | null = null
    let broken: unknown = null
    try {
      await read((chunk) => {
        tooLong = arrival.bytes + chunk.length > total
        if (tooLong || !this.#line.live) throw new Error('The rest of the answer is not wanted')
        arrival.write(chunk)
        if (arrival.failed) throw new Error('What comes cannot be written')
        if (arrival.bytes >= this.#toLook) noRoom = this.#noRoomFor(0)
        if (noRoom) throw new Error(noRoom.message)
        this.#syncSoon()
      })
    } catch (reason) {
      broken = reason
    }
    if (noRoom) return noRoom
    if (tooLong) return { code: 'BODY_TOO_LONG', message: `More than the announced ${total} bytes arrived` }
    if (arrival.bytes === total && !arrival.failed) return null
    const what = broken ? messageOf(broken) : `${arrival.bytes} of the announced ${total} bytes arrived`
    return { code: 'BODY_TRUNCATED', message: `Error downloading file: ${what}` }
  }

  /** Why so many bytes more would take of what is to stay free, or null. Others may write meanwhile: to be looked at again. */
  #noRoomFor(bytes: number): DiskFailure | null {
    const { keepsReserve = false, root } = this.#task
    this.#toLook = keepsReserve ? this.#arrival.bytes + LOOK_BYTES : Number.POSITIVE_INFINITY
    if (!keepsReserve) return null
    try {
      const stat = statfsSync(root)
      const free = freeBytesOf(stat)
      const reserve = Math.ceil(reserveBytesOf(stat))
      if (free === null || free - bytes >= reserve) return null
      const message = `${bytes} bytes more would leave less than ${reserve} bytes of the volume free, which has ${free}`
      return { code: 'STORAGE_FULL', message }
    } catch (reason) {
      return failureOf(reason, root)
    }
  }

  /** What has come goes to the disk meanwhile, in another thread: at the end there is little left to wait for. */
  #syncSoon(): void {
    const { bytes, path } = this.#arrival
    if (bytes < this.#toSync || path === null || !this.#task.durable) return
    this.#toSync = bytes + SYNC_BYTES
    this.#line.sync(path)
  }

  /** A cut that brought the blob further is nobody's failure. Others are the blob's once there are too many in a row. */
  #afterCut(further: boolean, message: string): ReceiveOutcome | null {
    this.#fruitless = further ? 0 : this.#fruitless + 1
    if (this.#etag === null && this.#arrival.isOpen) return this.#arrival.abandon('BODY_TRUNCATED', message)
    if (this.#fruitless < FRUITLESS_ANSWERS) return null
    return { outcome: 'failed', id: this.#blob.id, code: 'BODY_TRUNCATED', message }
  }

  /** The lease is lost, or the process stops: the part stays for whoever is next. */
  #cutFromHere(): Refusal {
    const message = 'The transfer was cut from this side'
    if (this.#etag === null) this.#arrival.abandon('LEASE_LOST', message)
    return { kind: 'pause', code: 'LEASE_LOST', message }
  }
}
