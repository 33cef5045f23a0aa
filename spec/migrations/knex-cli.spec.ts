import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import createKnex from 'knex'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { environment as environmentOf } from '../../fixtures/widget-app/knexfile.js'
import { withClient } from '../../lib/testing/postgres/database-server.ts'
import { createEmptyDatabase } from '../support/empty-database.ts'
import { migrate } from '../support/migrate.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)

const SQL_TABLES = `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
  and relname not like '%\\_migrations%' order by relname collate "C"`

const SQL_MIGRATION_LISTS = `select relname as name from pg_class where relnamespace = 'public'::regnamespace
  and relkind = 'r' and relname like '%\\_migrations%' and relname not like '%\\_lock'`

const ENVIRONMENTS = {
  main: {
    list: 'knex_migrations_main',
    tables: [
      'gadgets',
      'geo_audit_events',
      'geo_bulk_runs',
      'geo_event_prunes',
      'geo_events',
      'geo_leases',
      'geo_node_statuses',
      'geo_nodes',
      'geo_promotion_losses',
      'geo_promotions',
      'geo_status_samples',
      'geo_stores',
      'geo_switches',
      'geo_throughput',
      'widget_states',
      'widgets',
    ],
    fill: `insert into widgets (name, file_path) select 'w' || n, 'w/' || n from generate_series(1, 300) n;
      insert into gadgets (name, file_path) select 'g' || n, 'g/' || n from generate_series(1, 300) n;
      insert into widget_states (widget_id) select id from widgets;
      insert into geo_nodes (name, url, access_key, encrypted_secret_access_key, encrypted_secret_access_key_iv,
        selective_sync_type, selective_sync_shards) values ('paris', 'http://paris.test/', 'k', '', '', 'shards', '{a,b}');
      insert into geo_events (replicable_name, event_name) values ('widget', 'created');
      insert into geo_leases (kind, holder, expires_at) values ('sync', gen_random_uuid(), now())`,
  },
  tracking: {
    list: 'geo_tracking_migrations',
    tables: [
      'gadget_registry',
      'geo_audit_events',
      'geo_bandwidth',
      'geo_bulk_runs',
      'geo_drift_counts',
      'geo_early_events',
      'geo_event_cursors',
      'geo_leases',
      'geo_reconciliations',
      'geo_site_status',
      'geo_status_samples',
      'geo_stores',
      'geo_throughput',
      'widget_registry',
    ],
    fill: `insert into widget_registry (widget_id, created_at) select n, now() from generate_series(1, 300) n;
      insert into gadget_registry (gadget_id, created_at) select gen_random_uuid(), now() from generate_series(1, 300) n;
      insert into geo_early_events (event_id, xact_id) values (1, '7')`,
  },
}

describe.each(['main', 'tracking'] as const)('the plain knex command on the environment %s', (environment) => {
  const { tables, list, fill } = ENVIRONMENTS[environment]
  let database: Awaited<ReturnType<typeof createEmptyDatabase>>

  beforeEach(async () => {
    database = await createEmptyDatabase()
  })
  afterEach(() => database.drop())

  const query = <Row extends object>(sql: string) =>
    withClient(database.url, async (client) => (await client.query<Row>(sql)).rows)
  const migrationLists = async () => (await query<{ name: string }>(SQL_MIGRATION_LISTS)).map((row) => row.name)
  const tableNames = async () => (await query<{ name: string }>(SQL_TABLES)).map((row) => row.name)

  async function knex(...command: string[]): Promise<string> {
    const { stdout, stderr } = await run(
      `${ROOT}/node_modules/.bin/knex`,
      [...command, '--knexfile', 'fixtures/widget-app/knexfile.js', '--env', environment],
      {
        cwd: ROOT,
        env: { ...process.env, NODE_OPTIONS: '', [`${environment.toUpperCase()}_DATABASE_URL`]: database.url },
      },
    )
    expect(stderr, 'a migration is quiet').toBe('')
    return stdout
  }

  it('migrates up, down from a filled database to nothing, and up again', async () => {
    expect(await knex('migrate:latest')).toMatch(/Batch 1 run: \d+ migrations/)
    expect(await tableNames()).toEqual(tables)
    expect(await migrationLists(), 'apart from the other database and from what a host may have').toEqual([list])
    await query(fill)

    await knex('migrate:rollback', '--all')
    expect(await tableNames()).toEqual([])

    await knex('migrate:latest')
    expect(await tableNames()).toEqual(tables)
  })

  it('goes down and up again one migration at a time, on an empty database and on a filled one', async () => {
    await migrate(database.url, environment)
    for (const rows of ['', fill]) {
      await query(rows)
      const shape = await query('select indexdef from pg_indexes order by 1')
      const steps = await oneByOne('down')
      expect(await tableNames()).toEqual([])
      expect(await oneByOne('up')).toBe(steps)
      expect(await query('select indexdef from pg_indexes order by 1')).toEqual(shape)
    }
  })

  /** Returns the number of steps. */
  async function oneByOne(direction: 'up' | 'down'): Promise<number> {
    const db = createKnex(environmentOf(environment, database.url))
    try {
      for (let steps = 0; ; steps += 1) {
        const [, names] = await db.migrate[direction]()
        if (names.length === 0) return steps
      }
    } finally {
      await db.destroy()
    }
  }
})

describe('a host that is in use already', () => {
  it('gets its verification state without losing a row, and back', async () => {
    const database = await createEmptyDatabase()
    const db = createKnex(environmentOf('main', database.url))
    try {
      await db.migrate.latest()
      await db.migrate.down()
      await db.migrate.down()
      await db.raw(ENVIRONMENTS.main.fill.split(';').slice(0, 2).join(';'))

      await db.migrate.latest()
      expect(await db('gadgets').where('verification_state', 0)).toHaveLength(300)
      expect(await db('widget_states')).toHaveLength(0)
      await db('widget_states').insert(db('widgets').select({ widget_id: 'id' }))

      await db.migrate.down()
      await db.migrate.down()
      expect(await db('gadgets')).toHaveLength(300)
      expect(await db('widgets')).toHaveLength(300)
    } finally {
      await db.destroy()
      await database.drop()
    }
  })
})
