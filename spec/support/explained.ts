import type { Knex } from 'knex'

/**
 * Runs `work` and returns how PostgreSQL carries out those of its statements that contain `containing`: `auto_explain` is not
 * everywhere, so they are sent a second time behind `explain analyze`, with the values that they were bound.
 */
export async function explained(db: Knex, containing: string, work: (db: Knex) => Promise<unknown>): Promise<string> {
  const statements: { sql: string; bindings: readonly unknown[] }[] = []
  const note = ({ sql, bindings }: { sql: string; bindings: readonly unknown[] }) => {
    if (sql.includes(containing)) statements.push({ sql, bindings })
  }
  db.client.on('query', note)
  await work(db)
  db.client.off('query', note)
  const plans: string[] = []
  const client = await db.client.acquireConnection()
  try {
    for (const { sql, bindings } of statements) {
      const { rows } = await client.query(`explain analyze ${sql}`, [...bindings])
      plans.push(rows.map((row: Record<string, string>) => row['QUERY PLAN']).join('\n'))
    }
  } finally {
    await db.client.releaseConnection(client)
  }
  return plans.join('\n\n')
}
