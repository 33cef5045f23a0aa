import type { Entry, RecordType, Version } from './history.ts'
import type { Seeded } from './seeded.ts'

/** What is known of one record that the host was told it has. */
export interface KnownRecord {
  readonly type: RecordType
  readonly id: string
  /** Of which the last one was acknowledged last. */
  readonly versions: Version[]
  isDeleted: boolean
  /** A replacement or a deletion of it was tried and not answered: it may have either state. */
  isUncertain: boolean
}

/** What the history says of the host's rows. Only what was acknowledged is owed. */
export class Ledger {
  readonly #records = new Map<string, KnownRecord>()
  /** Those that are owed, in no order, and where each of them is: they are asked for with every write, of a hundred thousand. */
  readonly #live: KnownRecord[] = []
  readonly #places = new Map<KnownRecord, number>()
  readonly #versions = new Map<string, Version>()
  readonly #damages = new Map<string, Set<string | null>>()

  readonly add = (entry: Entry): void => {
    if (entry.kind === 'try') {
      if (entry.version) this.#versions.set(entry.version.key, entry.version)
      return
    }
    if (entry.kind === 'damaged') {
      this.#damages.set(entry.path, (this.#damages.get(entry.path) ?? new Set()).add(entry.sha256))
    }
    if (entry.kind === 'published') {
      const { type, id, version } = entry
      this.#versions.set(version.key, version)
      const record = { type, id, versions: [version], isDeleted: false, isUncertain: false }
      // A promotion takes back what had not arrived, and its ids may come again.
      const before = this.#records.get(nameOf(type, id))
      if (before) this.#sort(before, { isDeleted: true })
      this.#records.set(nameOf(type, id), record)
      this.#sort(record)
    }
    if (entry.kind === 'replaced') {
      this.#versions.set(entry.version.key, entry.version)
      this.#require(entry.type, entry.id).versions.push(entry.version)
    }
    if (entry.kind === 'deleted') this.#sort(this.#require(entry.type, entry.id), { isDeleted: true })
    if (entry.kind === 'found') this.#settle(this.#require(entry.type, entry.id), entry.key)
    if (entry.kind === 'unanswered' && entry.id !== null)
      this.#sort(this.#require(entry.type, entry.id), { isUncertain: true })
  }

  /** The bytes that were ever stored under a key, acknowledged or not. */
  versionOf(key: string): Version | undefined {
    return this.#versions.get(key)
  }

  /** Whether exactly these bytes were put into this file to see whether they are found. */
  isDamage(path: string, sha256: string): boolean {
    return this.#damages.get(path)?.has(sha256) ?? false
  }

  get records(): readonly KnownRecord[] {
    return [...this.#records.values()]
  }

  live(): readonly KnownRecord[] {
    return [...this.#live]
  }

  get liveCount(): number {
    return this.#live.length
  }

  /** The record of this name, where it is owed. */
  liveOf(name: string): KnownRecord | null {
    const record = this.#records.get(name)
    return record && this.#places.has(record) ? record : null
  }

  /** One of them that is not among these, which are few; null where all are. */
  someLive(chance: Seeded, except: ReadonlySet<KnownRecord>): KnownRecord | null {
    if (this.#live.length <= except.size && this.#live.every((record) => except.has(record))) return null
    for (;;) {
      const record = chance.of(this.#live)
      if (!except.has(record)) return record
    }
  }

  get count(): number {
    return this.#records.size
  }

  #settle(record: KnownRecord, key: string | null): void {
    this.#sort(record, { isUncertain: false, isDeleted: key === null || record.isDeleted })
    if (key !== null && currentOf(record).key !== key) {
      const version = this.#versions.get(key)
      if (!version) throw new Error(`${nameOf(record.type, record.id)} has the key ${key}, which the host never gave`)
      record.versions.push(version)
    }
  }

  /** Takes it up among those that are owed, or out of them. */
  #sort(record: KnownRecord, change: Partial<Pick<KnownRecord, 'isDeleted' | 'isUncertain'>> = {}): void {
    Object.assign(record, change)
    const isLive = !record.isDeleted && !record.isUncertain
    const place = this.#places.get(record)
    if (isLive && place === undefined) this.#places.set(record, this.#live.push(record) - 1)
    if (isLive || place === undefined) return
    const last = this.#live.pop()
    this.#places.delete(record)
    if (last === undefined || last === record) return
    this.#live[place] = last
    this.#places.set(last, place)
  }

  #require(type: RecordType, id: string): KnownRecord {
    const record = this.#records.get(nameOf(type, id))
    if (!record) throw new Error(`The history speaks of ${nameOf(type, id)} before it was published`)
    return record
  }
}

export function nameOf(type: RecordType, id: string): string {
  return `${type}/${id}`
}

/** The version that the host was told it has. */
export function currentOf(record: KnownRecord): Version {
  const version = record.versions.at(-1)
  if (!version) throw new Error(`${nameOf(record.type, record.id)} has no version`)
  return version
}
