import { readFile } from 'node:fs/promises'
import type { Knex } from 'knex'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { countRegistry } from '../../lib/registry/counts.ts'
import { countPrimary } from '../../lib/verification/counts.ts'
import { createSecondarySite, type SecondarySite } from '../support/secondary-site.ts'
import { timedStatements } from '../support/timed-statements.ts'

const ROWS = 1_000_000

let paris: SecondarySite

beforeAll(async () => {
  paris = await createSecondarySite()
  const { main, tracking } = paris.databases
  await main.raw(`insert into widgets (name, file_path) select 'w', 'f' || n from generate_series(1, ${ROWS}) n`)
  await main.raw(
    `insert into widget_states (widget_id, verification_state, verification_checksum, verified_at)
     select id, case when id % 100 = 0 then 3 when id % 50 = 0 then 0 else 2 end,
       '\\x01'::bytea || decode(lpad(to_hex(id), 16, '0'), 'hex'), now() from widgets`,
  )
  await main.raw(
    `insert into gadgets (name, file_path, verification_state, verification_checksum, verified_at)
     select 'g', 'g' || n, case when n % 100 = 0 then 3 else 2 end, '\\x0100', now() from generate_series(1, ${ROWS}) n`,
  )
  await tracking.raw(
    `insert into widget_registry (widget_id, state, verification_state, verification_checksum, bytes, blob_key, created_at, announced_at)
     select n, case when n % 20 = 0 then 0 when n % 33 = 0 then 3 else 2 end, case when n % 20 = 0 or n % 33 = 0 then 0 else 2 end,
       '\\x01'::bytea || decode(lpad(to_hex(n), 16, '0'), 'hex'), case when n % 20 > 0 then 10240 end, 'widgets/ab/' || md5(n::text), now(), now()
     from generate_series(1, ${ROWS}) n`,
  )
  for (const [db, tables] of [
    [main, ['widgets', 'widget_states', 'gadgets']],
    [tracking, ['widget_registry']],
  ] as const)
    for (const table of tables) await db.raw('vacuum analyze ??', [table])
})
afterAll(() => paris?.close())

/** Of the server processes of a database so far; null where they are not of this machine. */
async function serverCpuMs(db: Knex): Promise<number | null> {
  const { rows } = await db.raw('select pid from pg_stat_activity where datname = current_database()')
  const stats = rows.map(({ pid }: { pid: number }) => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null))
  const ticks = (await Promise.all(stats)).flatMap((stat: string | null) => {
    const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields ? Number(fields[11]) + Number(fields[12]) : []
  })
  return ticks.length === 0 ? null : ticks.reduce((sum, one) => sum + one, 0) * MS_PER_TICK
}

const MS_PER_TICK = 10

/** What counting a type costs the database: by the clock on the wall, statement by statement, and in time of its processors. */
async function costOf(db: Knex, type: string, count: () => Promise<unknown>) {
  await count()
  const before = await serverCpuMs(db)
  const statements = await timedStatements([db], count)
  const after = await serverCpuMs(db)
  const times = statements.map(({ ms }) => ms)
  return {
    type,
    statements: times.length,
    wallMs: Math.round(times.reduce((sum, ms) => sum + ms, 0)),
    longestMs: Math.round(Math.max(...times)),
    cpuMs: before === null || after === null ? null : after - before,
  }
}

it('Counting a million rows of a type takes short statements, each row once', async () => {
  const { main, tracking } = paris.databases
  const [widgets, gadgets] = [paris.widgets, paris.gadgets]
  const costs = [
    await costOf(tracking, 'registry', () => countRegistry(tracking, widgets, { enabled: true })),
    await costOf(main, 'primary, states in a table beside', () => countPrimary(main, widgets, { enabled: true })),
    await costOf(main, 'primary, states in columns, uuid keys', () => countPrimary(main, gadgets, { enabled: true })),
  ]
  console.log(JSON.stringify({ rows: ROWS, costs }))
  expect(await countRegistry(tracking, widgets, { enabled: true })).toMatchObject({ registry: ROWS })
  expect(await countPrimary(main, widgets, { enabled: true })).toMatchObject({
    total: ROWS,
    checksumFailed: ROWS / 100,
  })
  expect(await countPrimary(main, gadgets, { enabled: true })).toMatchObject({
    total: ROWS,
    checksumFailed: ROWS / 100,
  })
})
