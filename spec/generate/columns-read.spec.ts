import createKnex, { type Knex } from 'knex'
import { describe, expect, it } from 'vitest'
import { localDisk } from '../../lib/blob/local-disk.ts'
import { defineReplicable, type ReplicableDeclaration } from '../../lib/blob/replicable.ts'
import { columnsRead } from '../../lib/generate/columns-read.ts'

// No database is asked.
const db = createKnex({ client: 'pg', connection: 'postgres://127.0.0.1:1/none' })

type Row = Record<string, string>

function read(declared: Pick<ReplicableDeclaration<Row>, 'blob' | 'available'>) {
  const store = localDisk({ root: 'unused' })
  const type = defineReplicable<Row>({
    name: 'widget',
    table: 'app.widgets',
    verificationState: 'separate',
    store,
    ...declared,
  })
  return columnsRead(db, type as never)
}

describe('what a declaration reads', () => {
  const cases: [
    title: string,
    blob: (row: Row) => string | null | undefined,
    columns: string[],
    blobColumn: string | null,
  ][] = [
    ['a column', (row) => row['file_path'], ['file_path'], 'file_path'],
    ['a column that may be empty', (row) => row['file_path'] || null, ['file_path'], 'file_path'],
    ['a key made of one column', (row) => `${row['id']}.bin`, ['id'], null],
    ['a key made of two', ({ folder, name }) => folder && `${folder}/${name}`, ['folder', 'name'], null],
    ['one column or else another', (row) => row['new_path'] ?? row['old_path'], ['new_path', 'old_path'], null],
    ['the methods of a text', (row) => row['file_path']?.toLowerCase(), ['file_path'], null],
  ]

  it.each(cases)('is found: %s', (_, blob, columns, blobColumn) => {
    expect(read({ blob })).toEqual({ columns, blobColumn })
  })

  it('is also what says whether there is a file', () => {
    const available = (query: Knex.QueryBuilder) =>
      query
        .whereNotNull('app.widgets.file_path')
        .where((rows) => rows.where('state', 'done').orWhereRaw('?? > ?', ['bytes', 0]))
    expect(read({ blob: (row) => row['file_path'], available })).toEqual({
      columns: ['file_path', 'state', 'bytes'],
      blobColumn: 'file_path',
    })
  })

  it('is unknown where the function does not work on a row that is not there', () => {
    const blob = (row: Row) => (row['created_at'] as unknown as Date).toISOString()
    expect(read({ blob })).toBeNull()
    expect(read({ blob: () => 'always/the/same' })).toBeNull()
  })
})
