import type { ReplicableNames } from '../blob/names.ts'
import type { KeyType } from '../blob/replicable.ts'
import type { TableFacts } from './table-facts.ts'

/** All that is known of a type before a file of it is written. */
export interface TypeToWrite {
  readonly names: ReplicableNames
  /** Whether the plural is not what would be derived from the name. */
  readonly hasOwnPlural: boolean
  readonly table: string
  readonly keyColumn: string
  readonly keyType: KeyType
  readonly verification: 'separate' | 'columns'
  /** The column with the key of the row's file. */
  readonly blobColumn: string
  /** What the database says of the table; null where it was not asked. */
  readonly facts: TableFacts | null
}

/** `LineItem` or `line_item` as `line_item`. */
export function snakeCase(given: string): string {
  return given.replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase()
}

/** `line_item` as `line-item`: what its files are called. */
export function fileStem(name: string): string {
  return name.replaceAll('_', '-')
}

/**
 * The plural that the table's name shows where English is irregular (`people` for `person`), or undefined: a table may be called
 * otherwise altogether.
 */
export function pluralFromTable(name: string, table: string): string | undefined {
  const bare = table.slice(table.lastIndexOf('.') + 1)
  const [ofName, ofTable] = [name.split('_'), bare.split('_')]
  const isLikely =
    /^[a-z][a-z0-9_]*$/.test(bare) &&
    bare !== name &&
    ofName.slice(0, -1).join('_') === ofTable.slice(0, -1).join('_') &&
    isPluralOf(ofName.at(-1) ?? '', ofTable.at(-1) ?? '')
  return isLikely ? bare : undefined
}

// How much of a word an s leaves as it is: `index`, `indices`.
const CHANGED_BEFORE_S = 2

/** Words that change within (`mice`) keep their first letter at least, those that get an s (`leaves`) all but their end. */
function isPluralOf(word: string, other: string): boolean {
  const kept = other.endsWith('s') ? Math.max(1, word.length - CHANGED_BEFORE_S) : 1
  return other.startsWith(word.slice(0, kept))
}
