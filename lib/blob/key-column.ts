import type { KeyType } from './replicable.ts'

// PostgreSQL compares integers of different widths within one index, so a narrower key needs nothing of its own.
const KEY_TYPES = new Map<string, KeyType>([
  ['bigint', 'bigint'],
  ['integer', 'bigint'],
  ['smallint', 'bigint'],
  ['uuid', 'uuid'],
])

/** What `keyType` of a declaration is for a key column of a host's table, whose type PostgreSQL writes like this; null for no key. */
export function keyTypeOfColumn(type: string): KeyType | null {
  return KEY_TYPES.get(type) ?? null
}
