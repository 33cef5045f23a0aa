import assert from 'node:assert/strict'
import type { Replicable } from '../blob/replicable.ts'
import type { SelectiveSync } from '../blob/selective-sync.ts'
import type { Bench } from './bench.ts'
import { type Columns, registryRow, stateRow } from './rows.ts'

/** What a suite is about: a type of the host, and a bench that is open while its specs run. */
export interface Subject {
  readonly replicable: Replicable<never>
  bench(): Bench
  /** What an operator selects so that a secondary holds only what belongs to an owner. Left out: the type has no scope. */
  selectOwner?(owner: string): SelectiveSync
  /** A word by which `search` of the type finds this row of the host and no other. Left out: the type has no search. */
  keywordOf?(row: Columns): string
}

/** The registry row of a record. */
export async function registryOf({ tracking, secondary }: Bench, id: string): Promise<Columns> {
  const row = await registryRow(tracking, secondary.type, id)
  assert.ok(row, `record ${id} has no registry row`)
  return row
}

/** The verification state of a record on the primary. */
export async function stateOf({ main, primary }: Bench, id: string): Promise<Columns> {
  const row = await stateRow(main, primary.type, id)
  assert.ok(row, `record ${id} has no verification state`)
  return row
}

/** The columns that are given have the values that are given. */
export function assertColumns(row: Columns, expected: Columns): void {
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((name) => [name, row[name]])), expected)
}

/** A moment so many seconds from now, give or take. */
export function assertSecondsAhead(value: unknown, seconds: number, toleranceSeconds: number): void {
  assert.ok(value instanceof Date, `${String(value)} is not a moment`)
  const ahead = (value.getTime() - Date.now()) / 1000
  assert.ok(Math.abs(ahead - seconds) <= toleranceSeconds, `${ahead} s ahead, not ${seconds}`)
}
