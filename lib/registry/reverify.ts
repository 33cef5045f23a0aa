import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { reverifyPage } from './registry-verification.ts'

const ROWS_PER_PAGE = 5000

/** Asks for every synced copy of a type to be hashed again, a page to a transaction. Returns how many. */
export async function reverifyAll(tracking: Knex, replicable: Replicable): Promise<number> {
  let woken = 0
  for (let after = '0'; ; ) {
    const page = await reverifyPage(tracking, replicable, after, ROWS_PER_PAGE)
    if (!page) return woken
    woken += page.woken
    after = page.last
  }
}
