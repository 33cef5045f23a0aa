import { constants } from 'node:fs'
import { access, statfs } from 'node:fs/promises'
import type { Clock } from '../clock.ts'
import type { ErrorCode } from '../errors.ts'
import type { LoggerLike } from '../log.ts'
import { type DiskFailure, failureOf } from './disk-failure.ts'
import { freeBytesOf } from './free-space.ts'

/** A store that does not take so much takes nothing; a blob that is larger than what is left fails by itself. */
export const ROOM_BYTES = 1024 * 1024
const ASK_AGAIN_MS = 5000
const OF_STORES: readonly ErrorCode[] = ['STORAGE_FULL', 'STORAGE_ERROR']

/** Whether a failure may be that of a store, and not of one blob. */
export function isOfStore({ code }: { readonly code: ErrorCode }): boolean {
  return OF_STORES.includes(code)
}

/** What a store answered last: why it takes nothing, or null where it takes files again. */
interface Answer {
  readonly failure: DiskFailure | null
  readonly atMs: number
}

export interface WritableStoresParts {
  readonly clock: Clock
  readonly logger: LoggerLike
  /** Writes so much to the store, durably, and takes it away again: why that failed, or null. */
  probe(root: string): Promise<DiskFailure | null>
}

/**
 * Which stores take no files now, as this process has found out. Where a blob could not be stored, the store is asked itself: a disk
 * that is full, read-only or broken is no fault of a blob, so that nothing is fetched for it until it takes files again.
 */
export class WritableStores {
  readonly #parts: WritableStoresParts
  /** Of the stores that have refused a file at some time. */
  readonly #answers = new Map<string, Answer>()

  constructor(parts: WritableStoresParts) {
    this.#parts = parts
  }

  /** Why nothing can be stored there, or null. One that took nothing is asked again every five seconds. */
  async problem(root: string): Promise<DiskFailure | null> {
    const last = this.#answers.get(root)
    if (!last?.failure) return null
    const nowMs = this.#parts.clock.monotonicMs()
    if (nowMs - last.atMs < ASK_AGAIN_MS) return last.failure
    this.#answers.set(root, { ...last, atMs: nowMs })
    return this.#ask(root)
  }

  /**
   * Those of the failures that are the blobs' own: none that is of the disk where the store takes no files at all, or did not a
   * moment ago: a batch that failed before the store came back is judged after it. Nor where it had no room for a blob that needs
   * less than a store is asked for, as when all of a batch need more together.
   */
  async withoutItsOwn<Failure extends { readonly code: ErrorCode }>(
    root: string,
    failures: readonly Failure[],
    bytesOf: (failure: Failure) => number,
  ): Promise<readonly Failure[]> {
    if (!failures.some(isOfStore)) return failures
    const isCramped = failures.some((failure) => failure.code === 'STORAGE_FULL' && bytesOf(failure) <= ROOM_BYTES)
    const message = `There is no room for all blobs of a batch (${root})`
    const refuses = await this.#ask(root, isCramped ? { code: 'STORAGE_FULL', message } : null)
    if (!refuses && !this.#hasJustReturned(root)) return failures
    return failures.filter((failure) => !isOfStore(failure))
  }

  #hasJustReturned(root: string): boolean {
    const last = this.#answers.get(root)
    return last?.failure === null && this.#parts.clock.monotonicMs() - last.atMs < ASK_AGAIN_MS
  }

  /** `known`: why it takes nothing, also where it answers otherwise. */
  async #ask(root: string, known: DiskFailure | null = null): Promise<DiskFailure | null> {
    const { clock, logger, probe } = this.#parts
    const failure = (await probe(root)) ?? known
    const before = this.#answers.get(root)?.failure ?? null
    if (failure || before) this.#answers.set(root, { failure, atMs: clock.monotonicMs() })
    if (failure && before?.code !== failure.code) {
      logger.warn(
        { code: failure.code, root },
        `${failure.message}; nothing is fetched for this store until it takes files`,
      )
    } else if (!failure && before) logger.info({ root }, 'The store takes files again: transfers go on')
    return failure
  }
}

/** Why the store takes no files, as far as that can be seen without writing one; null where nothing speaks against it. */
export async function refusesFiles(root: string): Promise<DiskFailure | null> {
  try {
    await access(root, constants.W_OK)
    const free = freeBytesOf(await statfs(root))
    if (free === null || free >= ROOM_BYTES) return null
    return { code: 'STORAGE_FULL', message: `${root} has ${free} bytes left` }
  } catch (reason) {
    const failure = failureOf(reason, root)
    // There is no store yet, or it is not mounted, which is told by itself.
    return failure.code === 'FILE_MISSING' ? null : failure
  }
}
