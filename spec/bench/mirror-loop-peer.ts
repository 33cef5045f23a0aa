import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import createKnex from 'knex'

/**
 * The loop that people write instead: list the rows that have no mark, fetch each file from the application, write it, mark the
 * row; ten at a time. It knows nothing of checksums, and forgets a file that comes broken.
 */
const [mainUrl = '', trackingUrl = '', appUrl = '', folder = ''] = process.argv.slice(2)
const PER_PAGE = 1000
const AT_ONCE = 10

interface Row {
  id: string
  file_path: string
}

const main = createKnex({ client: 'pg', connection: mainUrl, pool: { min: 0, max: AT_ONCE } })
const marks = createKnex({ client: 'pg', connection: trackingUrl, pool: { min: 0, max: AT_ONCE } })

async function mirror(row: Row): Promise<void> {
  const response = await fetch(`${appUrl}/widgets/${row.id}/file`)
  if (!response.ok) throw new Error(`${row.id}: ${response.status}`)
  const path = join(folder, row.file_path)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, Buffer.from(await response.arrayBuffer()))
  await marks('mirrored').insert({ widget_id: row.id })
}

const last = await marks('mirrored').max<{ id: string | null }>('widget_id as id').first()
let after = last?.id ?? '0'
for (;;) {
  const rows: Row[] = await main('widgets')
    .where('id', '>', after)
    .orderBy('id')
    .limit(PER_PAGE)
    .select('id', 'file_path')
  if (rows.length === 0) break
  after = rows.at(-1)?.id ?? after
  const queue = rows.values()
  const worker = async (): Promise<void> => {
    for (const row of queue) await mirror(row)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}
await Promise.all([main.destroy(), marks.destroy()])
