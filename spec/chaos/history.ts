import { closeSync, openSync, writeSync } from 'node:fs'

export type RecordType = 'widgets' | 'gadgets'

/** What the host stored under a key: no key ever names other bytes. */
export interface Version {
  readonly key: string
  readonly sha256: string
  readonly bytes: number
}

/**
 * What happened, in order. A write is noted twice: before it is tried, for from then on its file may be seen anywhere, and when
 * it is acknowledged. What was tried and neither acknowledged nor refused may have happened or not.
 */
export type Entry =
  | { readonly kind: 'try'; readonly type: RecordType; readonly id: string | null; readonly version: Version | null }
  | { readonly kind: 'published'; readonly type: RecordType; readonly id: string; readonly version: Version }
  | { readonly kind: 'replaced'; readonly type: RecordType; readonly id: string; readonly version: Version }
  | { readonly kind: 'deleted'; readonly type: RecordType; readonly id: string }
  | { readonly kind: 'unanswered'; readonly type: RecordType; readonly id: string | null; readonly reason: string }
  /** What has become of a record whose last change was not answered; null: it is gone. */
  | { readonly kind: 'found'; readonly type: RecordType; readonly id: string; readonly key: string | null }
  /** Bytes that were put under a final name on purpose, as a bad disk would; null: nothing is there any more. */
  | { readonly kind: 'damaged'; readonly path: string; readonly sha256: string | null }
  | {
      readonly kind: 'fault'
      readonly fault: string
      readonly what: string
      readonly size?: Readonly<Record<string, number>>
    }
  | { readonly kind: 'process'; readonly process: string; readonly what: string }
  | { readonly kind: 'check'; readonly check: string; readonly fault: string; readonly violations: readonly string[] }

export type Listener = (entry: Entry) => void

/** Append-only: one JSON object a line, each with its time. It outlives whatever happens to this process. */
export class History {
  readonly path: string
  readonly #file: number
  readonly #listeners: Listener[] = []

  constructor(path: string) {
    this.path = path
    this.#file = openSync(path, 'a')
  }

  listen(listener: Listener): void {
    this.#listeners.push(listener)
  }

  note(entry: Entry): void {
    writeSync(this.#file, `${JSON.stringify({ time: new Date().toISOString(), ...entry })}\n`)
    for (const listener of this.#listeners) listener(entry)
  }

  close(): void {
    closeSync(this.#file)
  }
}
