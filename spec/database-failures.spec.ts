import { once } from 'node:events'
import { Socket } from 'node:net'
import createKnex, { type Knex } from 'knex'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { systemClock } from '../lib/clock.ts'
import { isAway, isDatabaseFailure, isOfSchema, passesByItself } from '../lib/database-failures.ts'
import { bounded, type Databases, openDatabases, run } from '../lib/databases.ts'
import { keptLog } from '../lib/testing/kept-log.ts'
import { createSpecDatabases, type SpecDatabases } from './support/databases.ts'
import { until } from './support/until.ts'

let there: SpecDatabases
beforeAll(async () => {
  there = await createSpecDatabases()
})
afterAll(() => there.destroy())

/** Where the database is, with something else in its address. */
function as(other: { username?: string; pathname?: string }): string {
  return Object.assign(new URL(there.mainUrl), other).href
}

/** Our own pools to where a host's configuration points. */
async function withPools(config: Knex.Config, act: (own: Databases) => Promise<void>): Promise<void> {
  const host = createKnex({ client: 'pg', pool: { min: 0 }, ...config })
  const own = openDatabases(host, null, keptLog(), systemClock)
  try {
    await act(own)
  } finally {
    await own.close(1000)
    await host.destroy()
  }
}

describe('A database that gives no session is away, however its host connects', () => {
  it.each<[string, () => Knex.PgConnectionConfig]>([
    ['by a socket that is not there', () => ({ host: '/nowhere', user: 'postgres' })],
    [
      'by TLS, to a server that has none',
      () => ({ connectionString: there.mainUrl, ssl: { rejectUnauthorized: false } }),
    ],
    ['as somebody whom it does not know', () => ({ connectionString: as({ username: 'a_stranger' }) })],
    ['to a database that it does not have', () => ({ connectionString: as({ pathname: '/nowhere' }) })],
    ['to a port where nobody listens', () => ({ host: '127.0.0.1', port: 1 })],
    ['to a name that nobody has', () => ({ host: 'nowhere.invalid' })],
  ])('%s', async (_, connection) => {
    await withPools({ connection: connection() }, async ({ main }) => {
      for (const asking of [run(main, 'select 1'), bounded(main, (trx) => run(trx, 'select 1'))]) {
        const reason = await asking.catch((failure: unknown) => failure)
        expect(reason).toBeInstanceOf(Error)
        const asked = [isDatabaseFailure, passesByItself, isAway, isOfSchema].map((is) => is(reason))
        expect(asked).toEqual([true, true, true, false])
      }
    })
  })

  it('one that answers later than a host’s own limit, or ours, allows is slow, and not away', async () => {
    const connection = { connectionString: there.mainUrl, query_timeout: 50 }
    await withPools({ connection }, async ({ main }) => {
      const reason = await run(main, 'select pg_sleep(5)').catch((failure: unknown) => failure)
      expect(reason).toMatchObject({ message: expect.stringContaining('Query read timeout') })
      expect([isDatabaseFailure(reason), passesByItself(reason), isAway(reason)]).toEqual([true, true, false])
      const limited = await run(main, 'select pg_sleep(5)', [], { timeoutMs: 20 }).catch((failure: unknown) => failure)
      expect([passesByItself(limited), isAway(limited)]).toEqual([true, false])
    })
  })
})

it.each([
  ['57P01', { passes: true, away: true, ofSchema: false }],
  ['08006', { passes: true, away: true, ofSchema: false }],
  ['40P01', { passes: true, away: false, ofSchema: false }],
  ['57014', { passes: true, away: false, ofSchema: false }],
  ['53100', { passes: true, away: false, ofSchema: false }],
  ['22012', { passes: false, away: false, ofSchema: false }],
  ['42703', { passes: false, away: false, ofSchema: true }],
])('What a server says with %s', (code, expected) => {
  const reason = Object.assign(new Error('refused'), { severity: 'ERROR', code })
  expect({ passes: passesByItself(reason), away: isAway(reason), ofSchema: isOfSchema(reason) }).toEqual(expected)
})

it.each([new Error('The work failed'), new TypeError('undefined is no function'), null, undefined])(
  'What is not of a database neither passes nor is away: %s',
  (reason) => {
    const asked = [isDatabaseFailure, passesByItself, isAway, isOfSchema].map((is) => is(reason))
    expect(asked).toEqual([false, false, false, false])
  },
)

describe('A server that is not there any more, and says nothing', () => {
  it('is asked for signs of life, and given up once it has said nothing for two minutes', async () => {
    const kept = vi.spyOn(Socket.prototype, 'setKeepAlive')
    await withPools({ connection: there.mainUrl }, async ({ main, mainHeartbeat }) => {
      for (const pool of [main, mainHeartbeat]) {
        const connection = await pool.client.acquireConnection()
        const { stream } = connection.connection
        expect([stream.timeout, kept.mock.calls.at(-1)]).toEqual([120_000, [true, 10_000]])
        await pool.client.releaseConnection(connection)
        const asking = run(pool, 'select pg_sleep(60)').catch((failure: unknown) => failure)
        await until(() => connection._queryQueue.length === 0 && connection.readyForQuery === false)
        stream.emit('timeout')
        expect([isDatabaseFailure(await asking), passesByItself(await asking)]).toEqual([true, true])
        expect(await run(pool, 'select 1 as one')).toMatchObject({ rows: [{ one: 1 }] })
      }
    })
    kept.mockRestore()
  })
})

it('A session that does not end in good order is cut, and not kept', async () => {
  await withPools({ connection: there.mainUrl }, async ({ main }) => {
    const connection = await main.client.acquireConnection()
    const cut = once(connection.connection.stream, 'close')
    main.client.pool.emitter.emit('destroyFail', 1, connection, new Error('It took too long'))
    await cut
    await main.client.releaseConnection(connection)
    expect(await run(main, 'select 1 as one')).toMatchObject({ rows: [{ one: 1 }] })
  })
})
