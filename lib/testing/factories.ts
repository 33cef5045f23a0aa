import { randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Knex } from 'knex'
import { type Digest, encodeDigest } from '../blob/digest.ts'
import { hasherFor } from '../blob/hasher.ts'
import type { Replicable } from '../blob/replicable.ts'
import { SYNC_STATE as S } from '../registry/sync-state.ts'
import { VERIFICATION_STATE as V } from '../verification/verification-state.ts'
import { addRegistryRow, type Columns, writeState } from './rows.ts'

/**
 * Inserts a row of the host and returns its key. `blobKey`: what the row is to name as its file, from which `blob` of the
 * declaration may make another key; null: a row without a file yet. `owner`: what selective sync scopes by.
 */
export type InsertRow = (
  db: Knex,
  values: { readonly blobKey: string | null; readonly owner: string | null },
) => Promise<string>

export interface RowTraits {
  /** Whether the row has a file, in the store of the primary. Default true. */
  readonly withFile?: boolean
  /** Default null: nobody's. */
  readonly owner?: string | null
  /** What the file holds. Default: bytes of its own. */
  readonly bytes?: string
  /** `verification_succeeded`, `verification_failed`: of the primary's state, wherever it is kept. Default: pending. */
  readonly verification?: 'succeeded' | 'failed'
  /** Further columns of the primary's verification state. */
  readonly state?: Columns
}

/** A row of the host with what belongs to it. */
export interface MadeRow {
  readonly id: string
  readonly blobKey: string | null
  readonly bytes: string
  readonly digest: Digest
  /** The row as the host reads it. */
  readonly row: Columns
}

export interface RegistryTraits {
  /** `started`, `synced`, `failed`. Default: pending. */
  readonly sync?: 'started' | 'synced' | 'failed'
  /** `verification_succeeded`, `verification_failed`: of a copy that is here. Default: as a new row has it. */
  readonly verification?: 'succeeded' | 'failed'
  /** Of which record. Default: a new one with a file. */
  readonly of?: MadeRow
  /** Whether the copy lies in the store of the secondary. Default: where the row is synced. */
  readonly withFile?: boolean
  /** Further columns of the registry row. */
  readonly columns?: Columns
}

/** Makes rows with the traits that specs of a type need. */
export interface Factories {
  row(traits?: RowTraits): Promise<MadeRow>
  registry(traits?: RegistryTraits): Promise<MadeRow>
  /** Puts a folder where the primary's file was: it is there, and cannot be read. */
  folder(record: MadeRow): Promise<void>
}

interface Places {
  readonly main: Knex
  readonly tracking: Knex
  /** The type with the store of each site. */
  readonly primary: Replicable
  readonly secondary: Replicable
}

const FAILED = Object.freeze({
  verification_state: V.failed,
  verification_failure: 'Could not calculate the checksum',
  verification_retry_count: 1,
})

export function factoriesFor({ main, tracking, primary, secondary }: Places, insertRow: InsertRow): Factories {
  const { keyColumn, table } = primary

  async function row(traits: RowTraits = {}): Promise<MadeRow> {
    const { withFile = true, owner = null, bytes = `bytes of ${randomUUID()}`, verification, state } = traits
    const id = await insertRow(main, { blobKey: withFile ? `made/${randomUUID()}` : null, owner })
    const inserted = await main(table)
      .where({ [keyColumn]: id })
      .first()
    // The host may make another key of what it was given.
    const blobKey = withFile ? (primary.blob(inserted) ?? null) : null
    if (blobKey !== null) await writeBlob(primary, blobKey, bytes)
    const digest = await digestOf(primary, bytes)
    if (verification || state) {
      await writeState(main, primary, id, { ...verified(verification, digest, main), ...state })
    }
    return {
      id,
      blobKey,
      bytes,
      digest,
      row: await main(table)
        .where({ [keyColumn]: id })
        .first(),
    }
  }

  async function registry(traits: RegistryTraits = {}): Promise<MadeRow> {
    const { sync, verification, columns, withFile = sync === 'synced' } = traits
    const made = traits.of ?? (await row())
    if (withFile && made.blobKey !== null) await writeBlob(secondary, made.blobKey, made.bytes)
    const copy = withFile && { blob_key: made.blobKey, bytes: Buffer.byteLength(made.bytes) }
    const started = { state: S.started, last_synced_at: tracking.fn.now() }
    const failed = {
      state: S.failed,
      retry_count: 1,
      last_sync_failure: 'Could not be fetched',
      error_code: 'HTTP_STATUS',
    }
    const synced = { state: S.synced, last_synced_at: tracking.fn.now() }
    await addRegistryRow(tracking, secondary, made.id, {
      ...(sync && { started, synced, failed }[sync]),
      ...copy,
      ...verified(verification, made.digest, tracking),
      ...columns,
    })
    return made
  }

  return Object.freeze({
    row,
    registry,
    async folder({ blobKey }: MadeRow) {
      await mkdir(join(primary.store.root, blobKey ?? ''), { recursive: true })
    },
  })
}

function verified(verification: 'succeeded' | 'failed' | undefined, digest: Digest, db: Knex): Columns {
  if (verification === undefined) return {}
  if (verification === 'failed') return { ...FAILED, verified_at: db.fn.now() }
  return {
    verification_state: V.succeeded,
    verification_checksum: encodeDigest(digest),
    verified_at: db.fn.now(),
  }
}

async function writeBlob({ store }: Replicable, key: string, bytes: string): Promise<void> {
  const path = join(store.root, key)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, bytes)
}

async function digestOf({ checksum }: Replicable, bytes: string): Promise<Digest> {
  const hasher = await hasherFor(checksum)
  hasher.update(Buffer.from(bytes))
  return { algorithm: checksum, hex: hasher.digestHex() }
}
