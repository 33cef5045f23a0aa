import type { Knex } from 'knex'
import { z } from 'zod'
import { ConfigurationError } from '../errors.ts'
import type { BlobStore } from './blob-store.ts'
import { deriveNames, IDENTIFIER, nameProblem, type ReplicableNames } from './names.ts'
import type { SelectiveSync } from './selective-sync.ts'

export type KeyType = 'bigint' | 'uuid'
export type ChecksumAlgorithm = 'xxh64' | 'sha256'

/** What the host says of a blob type: rows of a table with a file each. */
export interface ReplicableDeclaration<Row> {
  /** Lower snake case, singular, at most 20 characters; every other name is derived from it. */
  name: string
  /** Only where English is irregular. Default: `name` with s, es or ies. */
  plural?: string
  /** The host's table, with its schema where it is not on the search path: `app.widgets`. */
  table: string
  /** Its key column. Default `id`. */
  keyColumn?: string
  /**
   * Default `bigint`, which is also that of the narrower `integer` and `smallint`, such as `increments()` of Knex makes. Keys are
   * strings in code whatever the type.
   */
  keyType?: KeyType
  /** Where the primary keeps its checksums: a table `<name>_states` beside the host's, or columns on the host's own. */
  verificationState: 'separate' | 'columns'
  /** Name of the separate table. Default `<name>_states`. */
  stateTable?: string
  store: BlobStore
  /**
   * The key of the row's file in the store; null or undefined while the row has none. Must be pure. Where it throws or returns
   * anything else, that row alone fails with `BLOB_FUNCTION_FAILED`.
   */
  blob(row: Row): string | null | undefined
  /** Leaves out rows that have no file yet. Gets a query on the table, returns it with conditions added. Default: all rows. */
  available?(query: Knex.QueryBuilder): Knex.QueryBuilder
  /**
   * Which rows a secondary with selective sync holds copies of. Gets a query on the table and what the operator selected,
   * returns the query with conditions added. Default: all rows. Not asked on the primary, nor where nothing is selected.
   */
  scope?(query: Knex.QueryBuilder, selection: SelectiveSync): Knex.QueryBuilder
  /**
   * Which rows a person means who looks for a word. Gets a query on the table and the word, returns the query with conditions
   * added. Default: registries of this type cannot be searched.
   */
  search?(query: Knex.QueryBuilder, keyword: string): Knex.QueryBuilder
  /** Whether the bytes under one key never change. Default true; a mutable blob is fetched and hashed again on every event. */
  immutable?: boolean
  /** Default `xxh64`. */
  checksum?: ChecksumAlgorithm
  /** The version with which this type was released: turns the default of its flag on. */
  released?: string
}

/** A checked declaration with everything derived from it. Frozen. */
export interface Replicable<Row = unknown> {
  readonly name: string
  readonly names: ReplicableNames
  readonly table: string
  readonly keyColumn: string
  readonly keyType: KeyType
  readonly verificationState: 'separate' | 'columns'
  readonly store: BlobStore
  blob(row: Row): string | null | undefined
  available(query: Knex.QueryBuilder): Knex.QueryBuilder
  scope(query: Knex.QueryBuilder, selection: SelectiveSync): Knex.QueryBuilder
  readonly search: ((query: Knex.QueryBuilder, keyword: string) => Knex.QueryBuilder) | null
  readonly immutable: boolean
  readonly checksum: ChecksumAlgorithm
  readonly released: string | null
}

const identifier = z.string().regex(/^[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)?$/, 'is not a name of a table')
const column = z.string().regex(IDENTIFIER, 'is not a name of a column')
const callable = <Fn>() => z.custom<Fn>((value) => typeof value === 'function', 'must be a function')

const declarationShape = z.strictObject({
  name: z.string().superRefine((name, context) => {
    const problem = nameProblem(name)
    if (problem) context.addIssue({ code: 'custom', message: problem })
  }),
  plural: column.optional(),
  table: identifier,
  keyColumn: column.default('id'),
  keyType: z.enum(['bigint', 'uuid']).default('bigint'),
  verificationState: z.enum(['separate', 'columns']),
  stateTable: identifier.optional(),
  store: z.custom<BlobStore>(
    (value) => (value as BlobStore | undefined)?.kind === 'local-disk',
    'must be localDisk(…)',
  ),
  blob: callable<Replicable['blob']>(),
  available: callable<Replicable['available']>().default(() => (query: Knex.QueryBuilder) => query),
  scope: callable<Replicable['scope']>().default(() => (query: Knex.QueryBuilder) => query),
  search: callable<NonNullable<Replicable['search']>>().nullable().default(null),
  immutable: z.boolean().default(true),
  checksum: z.enum(['xxh64', 'sha256']).default('xxh64'),
  released: z.string().min(1).optional(),
})

/**
 * Declares a blob type.
 * @throws ConfigurationError `INVALID_DECLARATION`, naming every field that is wrong
 */
export function defineReplicable<Row>(declaration: ReplicableDeclaration<Row>): Replicable<Row> {
  const parsed = declarationShape.safeParse(declaration)
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'declaration'}: ${issue.message}`)
    throw new ConfigurationError('INVALID_DECLARATION', `defineReplicable: ${problems.join('; ')}`)
  }
  const { name, plural, stateTable, released, ...rest } = parsed.data
  const names = deriveNames(name, { ...(plural && { plural }), ...(stateTable && { stateTable }) })
  return Object.freeze({ ...rest, name, names, released: released ?? null })
}

const KEY_PATTERNS: Record<KeyType, RegExp> = {
  bigint: /^-?[0-9]{1,19}$/,
  uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i,
}
const BIGINT_LIMIT = 2n ** 63n

/** The key in its one canonical spelling (the database's own), or null where it is not a key of this type. */
export function parseRecordId(replicable: Replicable, id: string): string | null {
  if (!KEY_PATTERNS[replicable.keyType].test(id)) return null
  if (replicable.keyType === 'uuid') return id.toLowerCase()
  const value = BigInt(id)
  return value >= -BIGINT_LIMIT && value < BIGINT_LIMIT ? value.toString() : null
}

/** The types, this one among them, whose files lie in the same folder. */
export function sharingStore(replicables: readonly Replicable[], { store }: Replicable): Replicable[] {
  return replicables.filter((other) => other.store.root === store.root)
}
