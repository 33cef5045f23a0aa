import { createHash, randomUUID } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import createKnex, { type Knex } from 'knex'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { UPLOAD_COLUMNS, type Upload } from '../../fixtures/widget-app/upload-table.ts'
import { createGeo, type Geo } from '../../lib/index.ts'
import { TYPE_NAMES } from './checks/scene.ts'
import type { History, RecordType, Version } from './history.ts'
import { currentOf, type KnownRecord, type Ledger, nameOf } from './ledger.ts'
import { type Seeded, seededPieces, sha256Of } from './seeded.ts'
import { Writes } from './writes.ts'

export interface HostOptions {
  readonly siteName: string
  readonly mainUrl: string
  readonly blobsDir: string
  readonly encryptionKey: string
  readonly history: Pick<History, 'note'>
  readonly ledger: Ledger
}

/** How much is written, and what: of a hundred writes so many replace a file or delete a row. */
export interface Load {
  /** It fills: it ends with so many, however long that takes. Without, it is steady until it is called off. */
  readonly blobs?: number
  readonly perSecond: number
  readonly leastBytes: number
  readonly mostBytes: number
  readonly replaced?: number
  readonly deleted?: number
  /** To whom new rows belong. Default: nobody. */
  readonly owners?: readonly (string | null)[]
  /** Ends the load early. */
  readonly signal?: AbortSignal
}

const TICK_MS = 100
const AGAIN_MS = 100
const ROWS_AT_ONCE = 250
/** Writes at once. */
const LANES = 4
const STATEMENT_TIMEOUT_MS = 10_000

/**
 * A program of the host on the primary, which writes files and rows as the host would: the file first, then row and event in one
 * transaction. It goes on while everything around it breaks, and knows what it was promised.
 */
export class Host {
  readonly #options: HostOptions
  readonly #db: Knex
  readonly #geo: Geo
  readonly #replicators
  /** What has become of all that it wrote. */
  readonly writes = new Writes()
  /** Bytes of all files that it has written. */
  bytesWritten = 0
  #tried = 0
  /** Two lanes must not change one record at once: the history would not know which came last. */
  readonly #busy = new Set<KnownRecord>()

  constructor(options: HostOptions) {
    this.#options = options
    const connection = { connectionString: options.mainUrl, statement_timeout: STATEMENT_TIMEOUT_MS }
    // What goes wrong is in the history; Knex would print it among the result.
    const quiet = () => undefined
    this.#db = createKnex({
      client: 'pg',
      connection,
      pool: { min: 0, max: 4 },
      acquireConnectionTimeout: 10_000,
      log: { debug: quiet, warn: quiet, error: quiet, deprecate: quiet },
    })
    const { widgets, gadgets } = declareReplicables(options.blobsDir)
    this.#geo = createGeo({
      siteName: options.siteName,
      mainDb: this.#db,
      replicables: [widgets, gadgets],
      encryptionKey: options.encryptionKey,
      features: { isEnabled: () => true },
      work: false,
    })
    this.#replicators = { widgets: this.#geo.replicator(widgets), gadgets: this.#geo.replicator(gadgets) }
  }

  /**
   * Writes at a steady rate until all was tried, or until it is called off. What the database refuses was not written; it goes on
   * with the next. Returns how many a second were acknowledged: a machine under load, or a database that is down, may not allow for
   * all that were asked for.
   */
  async load(load: Load, chance: Seeded): Promise<number> {
    const beganMs = performance.now()
    const passedSeconds = () => (performance.now() - beganMs) / 1000
    const blobs = load.blobs ?? Number.POSITIVE_INFINITY
    let tried = 0
    let acknowledged = 0
    while (tried < blobs && !load.signal?.aborted) {
      const due = Math.min(blobs, Math.ceil(passedSeconds() * load.perSecond))
      while (tried < due && !load.signal?.aborted) {
        const some = Math.min(LANES, due - tried)
        const ids = await Promise.all(Array.from({ length: some }, () => this.#writeOne(load, chance)))
        tried += some
        acknowledged += ids.filter((id) => id !== null).length
      }
      await sleep(TICK_MS)
    }
    const seconds = passedSeconds()
    if (tried > 0)
      this.writes.loads.push({ fills: load.blobs !== undefined, asked: load.perSecond, acknowledged, seconds })
    return acknowledged / seconds
  }

  async #writeOne(load: Load, chance: Seeded): Promise<string | null> {
    const { leastBytes, mostBytes, replaced = 0, deleted = 0, owners } = load
    const size = chance.logUniform(leastBytes, mostBytes)
    const type = chance.of(['widgets', 'gadgets'] as const)
    const other = chance.below(100)
    const id = await this.publish(type, size, chance, owners ? chance.of(owners) : null)
    if (other < replaced) await this.#onSome(chance, (record) => this.replace(record, size, chance))
    else if (other < replaced + deleted) await this.#onSome(chance, (record) => this.remove(record))
    return id
  }

  /** Publishes as a program does that must: again and again until the database takes it. Returns the id of the row. */
  async insist(type: RecordType, bytes: number, chance: Seeded, timeoutMs: number): Promise<string | null> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const id = await this.publish(type, bytes, chance)
      if (id !== null || performance.now() > deadline) return id
      await sleep(AGAIN_MS)
    }
  }

  /** Returns the id of the row; null where it was refused. */
  async publish(type: RecordType, bytes: number, chance: Seeded, owner: string | null = null): Promise<string | null> {
    const version = await this.#store(type, null, bytes, chance)
    return this.#attempt(type, null, async () => {
      const id = await this.#db.transaction(async (trx) => {
        const [row] = await trx(type)
          .insert({ ...columnsOf(version), owner })
          .returning<Upload[]>(UPLOAD_COLUMNS)
        if (!row) throw new Error(`${type} returned no row`)
        await this.#replicators[type].created(row, trx)
        return String(row.id)
      })
      this.#options.history.note({ kind: 'published', type, id, version })
      return id
    })
  }

  async replace(record: KnownRecord, bytes: number, chance: Seeded): Promise<void> {
    const { type, id } = record
    const before = currentOf(record)
    const version = await this.#store(type, id, bytes, chance)
    await this.#attempt(type, id, async () => {
      await this.#db.transaction(async (trx) => {
        const change = { ...columnsOf(version), updated_at: trx.fn.now() }
        const [row] = await trx(type).where({ id }).update(change).returning<Upload[]>(UPLOAD_COLUMNS)
        if (!row) throw new Error(`${type} has no row ${id}`)
        await this.#replicators[type].updated(row, trx)
      })
      this.#options.history.note({ kind: 'replaced', type, id, version })
      await rm(join(this.#options.blobsDir, before.key))
    })
  }

  async remove(record: KnownRecord): Promise<void> {
    const { type, id } = record
    this.#options.history.note({ kind: 'try', type, id, version: null })
    await this.#attempt(type, id, async () => {
      await this.#db.transaction(async (trx) => {
        const [row] = await trx(type).where({ id }).delete().returning<Upload[]>(UPLOAD_COLUMNS)
        if (!row) throw new Error(`${type} has no row ${id}`)
        await this.#replicators[type].deleted(row, trx)
      })
      this.#options.history.note({ kind: 'deleted', type, id })
      await rm(join(this.#options.blobsDir, currentOf(record).key))
    })
  }

  /** As any program would after a commit that was never answered: looks what has become of it. */
  async resolve(): Promise<void> {
    const { ledger, history } = this.#options
    for (const { type, id } of ledger.records.filter(({ isUncertain }) => isUncertain)) {
      const row = await this.#db<Upload>(type).where({ id }).first('file_path')
      history.note({ kind: 'found', type, id, key: row?.file_path ?? null })
    }
  }

  /** As a job of the host that writes many at once: some hundred rows in one transaction. */
  async publishMany(count: number, bytes: number, chance: Seeded): Promise<void> {
    for (let left = count; left > 0; left -= ROWS_AT_ONCE) {
      const type = chance.of(TYPE_NAMES)
      const versions: Version[] = []
      for (let at = 0; at < Math.min(left, ROWS_AT_ONCE); at += 1)
        versions.push(await this.#store(type, null, bytes, chance))
      const rows = await this.#db.transaction(async (trx) => {
        const inserted = await trx(type).insert(versions.map(columnsOf)).returning<Upload[]>(UPLOAD_COLUMNS)
        for (const row of inserted) await this.#replicators[type].created(row, trx)
        return inserted
      })
      const ids = new Map(rows.map((row) => [row.file_path, String(row.id)]))
      for (const version of versions) {
        const id = ids.get(version.key)
        if (id === undefined) throw new Error(`${type} did not return the row of ${version.key}`)
        this.#options.history.note({ kind: 'published', type, id, version })
        this.writes.acknowledged += 1
      }
    }
  }

  /** Replaces the files of so many records, or deletes them, each of them once. */
  async changeMany(replaced: number, deleted: number, bytes: number, chance: Seeded): Promise<void> {
    const chosen = chance.shuffled(this.#options.ledger.live()).slice(0, replaced + deleted)
    for (let at = 0; at < chosen.length; at += LANES) {
      const some = chosen.slice(at, at + LANES)
      await Promise.all(
        some.map((record, lane) => (at + lane < replaced ? this.replace(record, bytes, chance) : this.remove(record))),
      )
    }
  }

  async close(): Promise<void> {
    await this.#geo.stop()
    await this.#db.destroy()
  }

  async #onSome(chance: Seeded, act: (record: KnownRecord) => Promise<void>): Promise<void> {
    const record = this.#options.ledger.someLive(chance, this.#busy)
    if (!record) return
    this.#busy.add(record)
    await act(record)
    this.#busy.delete(record)
  }

  async #store(type: RecordType, id: string | null, count: number, chance: Seeded): Promise<Version> {
    this.#tried += 1
    const name = `${chance.next()}/${this.#tried}`
    const folder = createHash('sha256').update(name).digest('hex').slice(0, 2)
    const pieces = seededPieces(name, count)
    const version = { key: `${type}/${folder}/${randomUUID()}.bin`, sha256: sha256Of(...pieces), bytes: count }
    this.#options.history.note({ kind: 'try', type, id, version })
    const path = join(this.#options.blobsDir, version.key)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, pieces)
    this.bytesWritten += count
    return version
  }

  /** What `act` returns once it was acknowledged; null where it was refused. */
  async #attempt<Answer>(type: RecordType, id: string | null, act: () => Promise<Answer>): Promise<Answer | null> {
    try {
      const answer = await act()
      this.writes.acknowledged += 1
      return answer
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      this.#options.history.note({ kind: 'unanswered', type, id, reason })
      // Knex puts the statement before what the database says of it.
      const said = reason.split(' - ').at(-1) ?? reason
      const what = id === null ? `a new row of ${type}` : nameOf(type, id)
      this.writes.refused.push({ at: new Date(), what, reason: said })
      return null
    }
  }
}

function columnsOf({ key, bytes }: Version) {
  return { name: key, file_path: key, content_type: 'application/octet-stream', bytes: String(bytes) }
}
