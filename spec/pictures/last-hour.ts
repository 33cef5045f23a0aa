import type { Knex } from 'knex'
import { seededNumbers } from '../support/seeded-file.ts'

const MINUTES = 60

/** What tokyo and paris would have told of the hour before they were started here: a working day, with a batch in the middle. */
export async function seedHour(main: Knex): Promise<void> {
  const noise = seededNumbers(3, MINUTES, 10)
  const rows = noise.flatMap((some, minutesAgo) => {
    const isBatch = minutesAgo > 22 && minutesAgo < 29
    const blobsPerSecond = isBatch ? 4 + some / 5 : some / 20
    const backlog = isBatch ? 30 * (minutesAgo - 22) + some : Math.floor(some / 4)
    const sample = {
      replicable_name: 'widget',
      sampled_at: main.raw(`date_trunc('minute', now()) - interval '${minutesAgo + 2} minutes'`),
    }
    return [
      {
        site: 'tokyo',
        ...sample,
        blobs_per_second: blobsPerSecond,
        backlog: Math.floor(backlog / 5),
        lag_seconds: null,
      },
      {
        site: 'paris',
        ...sample,
        blobs_per_second: blobsPerSecond,
        backlog,
        lag_seconds: isBatch ? 6 + some : some / 10,
      },
    ]
  })
  const ids = new Map((await main('geo_nodes').select('id', 'name')).map(({ id, name }) => [name, id]))
  await main('geo_status_samples')
    .insert(rows.map(({ site, ...row }) => ({ ...row, geo_node_id: ids.get(site) })))
    .onConflict(['geo_node_id', 'sampled_at', 'replicable_name'])
    .merge()
}
