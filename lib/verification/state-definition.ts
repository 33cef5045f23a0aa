import { createHash } from 'node:crypto'
import { deriveNames, IDENTIFIER, nameProblem, type ReplicableNames } from '../blob/names.ts'
import { ConfigurationError } from '../errors.ts'
import type { LiveIndex } from './live-table.ts'

/** What the primary's verification state consists of, wherever it lies. */

/** The seven columns, in their order. The first byte of a checksum names its algorithm. */
export const VERIFICATION_COLUMNS = Object.freeze([
  'verification_state smallint not null default 0',
  'verification_started_at timestamptz',
  'verification_retry_at timestamptz',
  'verified_at timestamptz',
  'verification_retry_count smallint',
  'verification_checksum bytea',
  'verification_failure text',
])

/** The names of the seven columns. */
export const VERIFICATION_COLUMN_NAMES = Object.freeze(
  VERIFICATION_COLUMNS.map((definition) => definition.slice(0, definition.indexOf(' '))),
)

export const FAILURE_LIMIT = 'check (char_length(verification_failure) <= 255)'

export function failureLimitName(name: string): string {
  return `${name}_verification_failure_text_limit`
}

const LONGEST_IDENTIFIER = 63
const LONGEST_TABLE_IN_INDEX_NAME = LONGEST_IDENTIFIER - 'index__on_verification_state'.length

/**
 * The indexes of a table that holds verification state. A row whose state changes gets an entry anew in each that it then belongs
 * to, so that a state is in one of them, and no row in all.
 */
export function verificationIndexes(table: string): LiveIndex[] {
  const stem = stemOf(table.slice(table.lastIndexOf('.') + 1))
  return [
    // Those that are hashed now and those without a file: `verification_state = 1 and verification_started_at < …`, and 4 for 1.
    {
      name: `index_${stem}_on_verification_state`,
      definition: '(verification_state, verification_started_at) where verification_state in (1, 4)',
    },
    {
      name: `index_${stem}_pending_verification`,
      definition: '(verified_at asc nulls first) where verification_state = 0',
    },
    {
      name: `index_${stem}_failed_verification`,
      definition: '(verification_retry_at asc nulls first) where verification_state = 3',
    },
    // What was hashed longest ago: `verification_state = 2 and verified_at < … order by verified_at limit …`.
    { name: `index_${stem}_reverification`, definition: '(verified_at) where verification_state = 2' },
  ]
}

/** The table's name, or as much of it as leaves room in an index's, with a hash that keeps it unlike every other. */
function stemOf(table: string): string {
  if (table.length <= LONGEST_TABLE_IN_INDEX_NAME) return table
  const hash = createHash('sha256').update(table).digest('hex').slice(0, 8)
  return `${table.slice(0, LONGEST_TABLE_IN_INDEX_NAME - hash.length - 1)}_${hash}`
}

/**
 * The names that follow from the name of a type, once all of them are known to be names.
 * @throws ConfigurationError `INVALID_OPTIONS`
 */
export function checkedNames(
  name: string,
  { table, keyColumn, stateTable }: { table?: string; keyColumn?: string; stateTable?: string | undefined } = {},
): ReplicableNames {
  const problem = nameProblem(name)
  if (problem) throw invalid(`The name ${JSON.stringify(name)} ${problem}`)
  if (table !== undefined && !isTable(table)) throw invalid(`table ${JSON.stringify(table)} is not the name of a table`)
  if (keyColumn !== undefined && !IDENTIFIER.test(keyColumn)) {
    throw invalid(`keyColumn ${JSON.stringify(keyColumn)} is not the name of a column`)
  }
  if (stateTable === undefined) return deriveNames(name)
  if (!isTable(stateTable)) throw invalid(`stateTable ${JSON.stringify(stateTable)} is not the name of a table`)
  return deriveNames(name, { stateTable })
}

function isTable(value: string): boolean {
  const parts = value.split('.')
  return parts.length <= 2 && parts.every((part) => IDENTIFIER.test(part) && part.length <= LONGEST_IDENTIFIER)
}

export function invalid(message: string): ConfigurationError {
  return new ConfigurationError('INVALID_OPTIONS', message)
}
