import type { Knex } from 'knex'
import { bounded, run } from './databases.ts'

/** A range of a table's blocks as a condition: `<ctid> >= ?::tid and <ctid> < ?::tid`. */
export type BlockRange = readonly [from: string, to: string]

/** 16 MiB. */
const BLOCKS_PER_PAGE = 2048

/**
 * Reads a whole table in the order in which it lies on the disk, so many blocks to a statement, which is the cheapest there is:
 * no index, no sort, each block once, whatever the keys are. All pages see one snapshot, for a row that is changed goes
 * to another block. Each statement is bounded; the snapshot lasts about a second for a million rows.
 */
export function walkBlocks(
  db: Knex,
  table: string,
  visit: (trx: Knex.Transaction, range: BlockRange) => Promise<void>,
  { blocksPerPage = BLOCKS_PER_PAGE }: { blocksPerPage?: number } = {},
): Promise<void> {
  return bounded(
    db,
    async (trx) => {
      // Partitions have blocks of their own, each from 0 on: a range is read in all of them.
      const { rows } = await run<{ rows: { blocks: number }[] }>(
        trx,
        `select ceil(greatest(pg_relation_size(t), (select max(pg_relation_size(relid)) from pg_partition_tree(t)))
           / current_setting('block_size')::float8)::float8 as blocks
         from (select ?::regclass as t) as named`,
        [table],
      )
      const blocks = rows[0]?.blocks ?? 0
      for (let from = 0; from < blocks; from += blocksPerPage)
        await visit(trx, [`(${from},0)`, `(${from + blocksPerPage},0)`])
    },
    { isolationLevel: 'repeatable read' },
  )
}
