import type { Entry, RecordType, Version } from './history.ts'

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
      this.#records.set(nameOf(type, id), { type, id, versions: [version], isDeleted: false, isUncertain: false })
    }
    if (entry.kind === 'replaced') {
      this.#versions.set(entry.version.key, entry.version)
      this.#require(entry.type, entry.id).versions.push(entry.version)
    }
    if (entry.kind === 'deleted') this.#require(entry.type, entry.id).isDeleted = true
    if (entry.kind === 'found') this.#settle(this.#require(entry.type, entry.id), entry.key)
    if (entry.kind === 'unanswered' && entry.id !== null) this.#require(entry.type, entry.id).isUncertain = true
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
    return this.records.filter(({ isDeleted, isUncertain }) => !isDeleted && !isUncertain)
  }

  get count(): number {
    return this.#records.size
  }

  #settle(record: KnownRecord, key: string | null): void {
    record.isUncertain = false
    if (key === null) record.isDeleted = true
    else if (currentOf(record).key !== key) {
      const version = this.#versions.get(key)
      if (!version) throw new Error(`${nameOf(record.type, record.id)} has the key ${key}, which the host never gave`)
      record.versions.push(version)
    }
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
