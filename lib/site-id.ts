import type { Knex } from 'knex'
import { run } from './databases.ts'
import { MOST_SITES } from './epoch.ts'
import { InvalidSiteError } from './site-fields.ts'

/**
 * An id that begins no epoch of another site's: the next of the sequence that is equal to none modulo `MOST_SITES`.
 * @throws InvalidSiteError `INVALID_SITE` where there is none
 */
export async function freeSiteId(db: Knex): Promise<string> {
  const taken = `exists (select from geo_nodes where geo_nodes.id % ${MOST_SITES} = tried.id % ${MOST_SITES})`
  const { rows } = await run<{ rows: { id: string }[] }>(
    db,
    `with recursive tried (id, tries) as (
       select nextval(pg_get_serial_sequence('geo_nodes', 'id')), 1
       union all
       select nextval(pg_get_serial_sequence('geo_nodes', 'id')), tries + 1 from tried where tries < ${MOST_SITES} and ${taken}
     )
     select id::text from tried where not ${taken}`,
  )
  const [free] = rows
  if (free) return free.id
  throw new InvalidSiteError([
    { field: 'base', text: `There are ${MOST_SITES} sites already, which is as many as there can be` },
  ])
}
