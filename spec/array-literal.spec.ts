import type { Knex } from 'knex'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { arrayLiteral } from '../lib/array-literal.ts'
import { run } from '../lib/databases.ts'
import { createSpecDatabases, type SpecDatabases } from './support/databases.ts'

let databases: SpecDatabases
let db: Knex

beforeAll(async () => {
  databases = await createSpecDatabases()
  db = databases.main
})
afterAll(() => databases.destroy())

async function readAs(type: string, values: readonly unknown[]): Promise<unknown> {
  const { rows } = await run<{ rows: { values: unknown }[] }>(db, `select ?::${type}[] as values`, [values])
  return rows[0]?.values
}

describe('A bound array arrives as it was:', () => {
  it('texts, whatever they have in them', async () => {
    const odd = [
      '',
      ' ',
      'NULL',
      'null',
      '{}',
      '{a,b}',
      'a,b',
      '"',
      '\\',
      '\\"',
      "'",
      '\n',
      'ü',
      '$1',
      '?',
      '-',
      '+x',
      '1 2',
      null,
    ]
    expect(await readAs('text', odd)).toEqual(odd)
  })

  it('bytes', async () => {
    const bytes = [Buffer.from([]), Buffer.from([0, 92, 34, 255]), null]
    expect(await readAs('bytea', bytes)).toEqual(bytes)
    expect(await readAs('bytea', [new Uint8Array([9, 1, 2]).subarray(1)])).toEqual([Buffer.from([1, 2])])
  })

  it('numbers, truths, times and keys', async () => {
    expect(await readAs('float8', [0.1, -1e300, 1e-7, 5, null])).toEqual([0.1, -1e300, 1e-7, 5, null])
    expect(await readAs('boolean', [true, false, null])).toEqual([true, false, null])
    expect(await readAs('bigint', ['-9223372036854775808', 9007199254740993n])).toEqual([
      '-9223372036854775808',
      '9007199254740993',
    ])
    const id = '8d3c0f1a-0000-4000-8000-0123456789ab'
    expect(await readAs('uuid', [id])).toEqual([id])
    expect(await readAs('timestamptz', ['2026-01-02 03:04:05.678+00'])).toEqual([new Date('2026-01-02T03:04:05.678Z')])
  })

  it('none', async () => {
    expect(await readAs('text', [])).toEqual([])
  })
})

it('What is no plain value is refused, not bound as something else', () => {
  for (const value of [undefined, {}, [1], new Date()]) expect(() => arrayLiteral([value])).toThrow(TypeError)
})
