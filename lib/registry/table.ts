import type { Knex } from 'knex'
import { deriveNames, nameProblem, type ReplicableNames } from '../blob/names.ts'
import type { KeyType } from '../blob/replicable.ts'
import { ConfigurationError } from '../errors.ts'

/** The tables of a secondary's tracking database that hosts create in their own migrations, one call per type. */

export interface RegistryTableOptions {
  /** The type of the host's key. Default `bigint`. */
  keyType?: KeyType
}

export interface RegistryIndex {
  readonly name: string
  readonly unique?: boolean
  readonly definition: string
}

/** The first six are the registry's own; each of the others serves the query that is named beside it. */
export function registryIndexes({ registryTable: table, foreignKey }: ReplicableNames): RegistryIndex[] {
  return [
    { name: `index_${table}_on_${foreignKey}`, unique: true, definition: `(${foreignKey})` },
    { name: `index_${table}_on_retry_at`, definition: '(retry_at)' },
    { name: `index_${table}_on_state`, definition: '(state)' },
    {
      name: `${table}_failed_verification`,
      definition: '(verification_retry_at nulls first) where state = 2 and verification_state = 3',
    },
    {
      name: `${table}_needs_verification`,
      definition: '(verification_state) where state = 2 and verification_state in (0, 3)',
    },
    {
      name: `${table}_pending_verification`,
      definition: '(verified_at nulls first) where state = 2 and verification_state = 0',
    },
    // Copies verified longest ago: `state = 2 and verification_state = 2 and verified_at < … order by verified_at limit …`.
    { name: `${table}_reverification`, definition: '(verified_at) where state = 2 and verification_state = 2' },
    // Claim of new rows: `state = 0 and not backfill and removal_requested_at is null … order by id`.
    {
      name: `${table}_pending_sync`,
      definition: '(id) where state = 0 and not backfill and removal_requested_at is null',
    },
    // Claim of backfill: `state = 0 and backfill and removal_requested_at is null … order by id`.
    {
      name: `${table}_backfill_sync`,
      definition: '(id) where state = 0 and backfill and removal_requested_at is null',
    },
    // Claim of due retries: `state = 3 and removal_requested_at is null and retry_at <= … order by retry_at nulls first`.
    {
      name: `${table}_failed_sync`,
      definition: '(retry_at nulls first) where state = 3 and removal_requested_at is null',
    },
    // Verifications that never ended: `verification_state = 1 and verification_started_at < …`.
    { name: `${table}_started_verification`, definition: '(verification_started_at) where verification_state = 1' },
    // Copies that were never compared: `state = 2 and verification_state = 4`. Few, and not for long.
    { name: `${table}_unchecked`, definition: '(id) where state = 2 and verification_state = 4' },
    // Claim of removals: `removal_requested_at is not null or superseded_keys is not null … order by id`.
    {
      name: `${table}_removal`,
      definition: '(id) where removal_requested_at is not null or superseded_keys is not null',
    },
    // Does another row hold this file: `blob_key = …`. A hash, because a key may be longer than a B-tree entry.
    { name: `${table}_blob_key`, definition: 'using hash (blob_key)' },
  ]
}

// Values up to last_sync_failure are what any reader of a registry knows; below is what this SDK adds.
const COLUMNS = `
  created_at timestamptz not null,
  last_synced_at timestamptz,
  retry_at timestamptz,
  verified_at timestamptz,
  verification_started_at timestamptz,
  verification_retry_at timestamptz,
  state smallint not null default 0,
  verification_state smallint not null default 0,
  retry_count smallint not null default 0,
  verification_retry_count smallint not null default 0,
  checksum_mismatch boolean not null default false,
  verification_checksum bytea,
  verification_checksum_mismatched bytea,
  verification_failure varchar(255),
  last_sync_failure varchar(255),
  -- The key that the copy is stored under: \`where blob_key = …\` before a file is removed.
  blob_key text,
  -- Size of the copy, or of the blob as far as an attempt has learnt it: bounds what one claim takes.
  bytes bigint,
  -- The stable code of last_sync_failure or verification_failure: failures by cause.
  error_code varchar(64),
  -- Who works the row: results are written \`where lease_id = …\`, claims take rows without one.
  lease_id bigint,
  -- Processes in a row that died while they fetched this blob: after the first, \`retry_at\` is now, then ever later.
  worker_losses smallint not null default 0,
  -- The record is gone: \`where removal_requested_at is not null\` are the files to remove.
  removal_requested_at timestamptz,
  -- When a removal that failed is due again.
  removal_retry_at timestamptz,
  -- Keys of earlier copies: their files are removed with the same claim.
  superseded_keys text[],
  -- Found by reconciliation or asked for in bulk, not told by an event: claimed after new rows and due retries.
  backfill boolean not null default false,
  -- The host's row (its xmin) that blob_key was read from: a pass looks again only at rows whose version differs.
  row_version bigint,
  -- When the host's transaction on the primary began that wrote the file, by the clock of its database; null where no
  -- event told of it, and once the copy is verified: the lag from commit to verified is measured once.
  announced_at timestamptz,
  -- The host's trace (W3C) in which the file was written, for as long; null where there was none.
  traceparent text`.trim()

/** The definitions of all columns but the registry's own key and the host's, as `name type …`. */
export function registryColumns(): string[] {
  const lines = COLUMNS.split('\n').map((line) => line.trim())
  return lines.filter((line) => !line.startsWith('--')).map((line) => line.replace(/,$/, ''))
}

/**
 * Creates the registry of a type: `widget_registry` for `widget`. In one transaction, and without effect where it exists.
 * @throws ConfigurationError `INVALID_OPTIONS` for a name or key type that cannot be
 */
export async function createRegistryTable(
  knex: Knex,
  name: string,
  { keyType = 'bigint' }: RegistryTableOptions = {},
): Promise<void> {
  const names = namesOf(name)
  if (keyType !== 'bigint' && keyType !== 'uuid') {
    throw new ConfigurationError('INVALID_OPTIONS', `keyType of ${name} must be "bigint" or "uuid"`)
  }
  await knex.transaction(async (trx) => {
    await trx.raw(
      `create table if not exists ?? (
        id bigserial primary key,
        ?? ${keyType} not null,
        ${COLUMNS}
      )`,
      [names.registryTable, names.foreignKey],
    )
    const { rows } = await trx.raw<{ rows: { name: string }[] }>(
      'select c.relname as name from pg_index i join pg_class c on c.oid = i.indexrelid where i.indrelid = ?::regclass',
      [names.registryTable],
    )
    const existing = new Set(rows.map((row) => row.name))
    // Not `if not exists`, which passes in silence where another table's index has the name.
    for (const index of registryIndexes(names).filter(({ name }) => !existing.has(name))) {
      await trx.raw(`create ${index.unique ? 'unique ' : ''}index ?? on ?? ${index.definition}`, [
        index.name,
        names.registryTable,
      ])
    }
  })
}

export async function dropRegistryTable(knex: Knex, name: string): Promise<void> {
  await knex.schema.dropTableIfExists(namesOf(name).registryTable)
}

function namesOf(name: string): ReplicableNames {
  const problem = nameProblem(name)
  if (problem) throw new ConfigurationError('INVALID_OPTIONS', `The name ${JSON.stringify(name)} ${problem}`)
  return deriveNames(name)
}
