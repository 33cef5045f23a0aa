import type { Blob } from './blob.ts'
import type { Observation } from './observe.ts'
import { MUTABLE, TYPE_NAMES, type TypeName } from './types.ts'

/** A row of the host, as it wrote it. */
export interface ModelRow {
  readonly type: TypeName
  readonly id: string
  owner: string | null
  key: string | null
  /** Whether the host has given it another file since the last look: what was recorded of the former is void. */
  changedSinceSeen: boolean
  /** Whether the flag of its type was on at any time since it came. */
  everOn: boolean
}

export interface Grave {
  readonly type: TypeName
  readonly id: string
  readonly key: string | null
  /** An event that told of it while the flag was on may still be read: it tells of whatever has that id by then. */
  readonly everOn: boolean
}

/** What a host and an operator know of the two sites: no queue, no states, only rows, files and switches. */
export class Model {
  rows: ModelRow[] = []
  graves: Grave[] = []
  /** The primary's folder. Nobody but the host and misfortune changes it. */
  readonly files = new Map<string, Blob>()
  /** Whatever has ever lain under a key on the primary. */
  readonly ever = new Map<string, Set<Blob>>()
  /** What misfortune left under a key on the secondary, and nobody has replaced since; null: nothing. */
  readonly spoiledCopies = new Map<string, Blob | null>()
  readonly flags = new Map<TypeName, boolean>(TYPE_NAMES.map((type) => [type, true]))
  /** The owners whose rows the secondary holds; null: all rows. */
  scope: readonly string[] | null = null
  /** A row whose transaction is still open. */
  held: ModelRow | null = null
  /** How much time has gone by. */
  daysPassed = 0
  /** Whether something happened that events do not tell, or that was told in vain. */
  untold = false
  /** How the sites looked after the last command. */
  seen: Observation | null = null
  readonly #spoiled = new Set<Blob>()
  #removed = false
  #keys = 0

  spoil(key: string, left: Blob | null): void {
    if (left) this.#spoiled.add(left)
    else this.#removed = true
    this.put(key, left)
  }

  put(key: string, blob: Blob | null): void {
    if (!blob) return void this.files.delete(key)
    this.files.set(key, blob)
    const ever = this.ever.get(key) ?? new Set()
    this.ever.set(key, ever.add(blob))
  }

  /** A key that no row has had. Some share a folder, some have one of their own. */
  freshKey(type: TypeName): string {
    this.#keys += 1
    return this.#keys % 2 ? `${type}/shelf/${this.#keys}` : `${type}/${this.#keys}/file`
  }

  /** Keys that had a file and that no row has now. */
  get retiredKeys(): string[] {
    const used = new Set([...this.rows, ...(this.held ? [this.held] : [])].map(({ key }) => key))
    return [...this.ever.keys()].filter((key) => !used.has(key))
  }

  /** Whether the primary's file under a key is the one that the host put there. */
  isWhole(key: string | null): boolean {
    const file = key === null ? undefined : this.files.get(key)
    return file !== undefined && !this.#spoiled.has(file)
  }

  usersOf(key: string): ModelRow[] {
    return [...this.rows, ...(this.held ? [this.held] : [])].filter((row) => row.key === key)
  }

  flag(type: TypeName): boolean {
    return this.flags.get(type) ?? true
  }

  inScope({ owner }: Pick<ModelRow, 'owner'>): boolean {
    return this.scope === null || owner === null || this.scope.includes(owner)
  }

  /** The rows of which the secondary is to hold a copy. */
  wanted(type: TypeName): ModelRow[] {
    return this.rows.filter((row) => row.type === type && row.key !== null && this.inScope(row))
  }

  /** Whether misfortune has touched any file. */
  get spoiled(): boolean {
    return this.#spoiled.size > 0 || this.#removed || this.spoiledCopies.size > 0
  }

  isMutable({ type }: Pick<ModelRow, 'type'>): boolean {
    return MUTABLE.has(type)
  }
}
