import type { Knex } from 'knex'
import { bounded, run } from '../databases.ts'

/** A record gets a ticket out of so many, by a hash of its key and the seed. Fits a number exactly. */
export const TICKETS = 2 ** 52

/** What is asked of a page of at most `keys` keys: up to `most` verified records whose ticket is below `below`, the lowest first. */
export interface DrawRequest {
  readonly after: string | null
  readonly keys: number
  readonly seed: number
  readonly below: number
  readonly most: number
}

/** One page of records, and the lowest tickets among the verified ones. */
export interface DrawnPage {
  /** The key after which the next page begins; null on the last page. */
  readonly next: string | null
  /** How many verified records the page has. */
  readonly verified: number
  readonly drawn: readonly DrawnRecord[]
}

export interface DrawnRecord {
  readonly id: string
  readonly ticket: number
}

/** Draws from the rows of a query that gives `key`, by which pages are walked, the record's `id` as text, and `verified`. */
export async function drawPage(
  db: Knex,
  rows: (db: Knex) => Knex.QueryBuilder,
  keyType: string,
  { after, keys, seed, below, most }: DrawRequest,
): Promise<DrawnPage> {
  return bounded(db, async (trx) => {
    const { rows: pages } = await run<{ rows: (Omit<DrawnPage, 'next'> & { last: string | null; count: number })[] }>(
      trx,
      `with page as materialized (
         select key, id, verified from (?) as walked
         where ?::${keyType} is null or key > ?::${keyType} order by key limit ?
       ), tickets as materialized (
         select id, hashtextextended(id, ?::bigint) & ?::bigint as ticket from page where verified
       )
       select (select key::text from page order by page.key desc limit 1) as last,
         (select count(*)::int from page) as count, (select count(*)::int from tickets) as verified,
         (select coalesce(json_agg(low), '[]') from (
            select id, ticket from tickets where ticket < ?::bigint order by ticket limit ?) as low) as drawn`,
      [rows(trx), after, after, keys, seed, TICKETS - 1, below, most],
    )
    const [page] = pages
    if (!page) throw new Error('A draw returned no row')
    const { last, count, verified, drawn } = page
    return { next: count < keys ? null : last, verified, drawn }
  })
}
