import type { Knex } from 'knex'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../lib/clock.ts'
import { bounded, boundedByKey, type Databases, openDatabases, run } from '../lib/databases.ts'
import { keptLog } from '../lib/testing/kept-log.ts'
import { createSpecDatabases, type SpecDatabases } from './support/databases.ts'

let hosts: SpecDatabases
let own: Databases

beforeAll(async () => {
  hosts = await createSpecDatabases()
})
afterAll(() => hosts.destroy())
beforeEach(() => {
  own = openDatabases(hosts.main, hosts.tracking, keptLog(), systemClock)
})
afterEach(() => own.close(1000))

/** The server answers this statement with an error, and does not end the transaction: as it does where it cancels a COMMIT. */
async function refuse(trx: Knex.Transaction, statement: RegExp): Promise<void> {
  const connection = await trx.client.acquireConnection()
  const { query } = connection
  connection.query = (asked: { text?: string } | string, ...more: unknown[]) => {
    const text = typeof asked === 'string' ? asked : (asked.text ?? '')
    if (!statement.test(text)) return query.call(connection, asked, ...more)
    connection.query = query
    return query.call(connection, typeof asked === 'string' ? 'select 1/0' : { ...asked, text: 'select 1/0' }, ...more)
  }
}

describe.each([
  ['bounded', bounded],
  ['boundedByKey', boundedByKey],
] as const)('A connection that a transaction of ours, %s, has left within one', (_, transaction) => {
  it('is not used again where its COMMIT failed', async () => {
    for (const pool of [own.mainHeartbeat, own.main]) {
      await expect(transaction(pool, (trx) => refuse(trx, /^COMMIT/))).rejects.toMatchObject({ code: '22012' })
      expect(await run(pool, 'select 1 as one')).toMatchObject({ rows: [{ one: 1 }] })
      expect(await transaction(pool, (trx) => run(trx, 'select 1 as one'))).toMatchObject({ rows: [{ one: 1 }] })
    }
  })

  it('is not used again where its ROLLBACK failed', async () => {
    const failing = transaction(own.mainHeartbeat, async (trx) => {
      await refuse(trx, /^ROLLBACK/)
      throw new Error('The work failed')
    })
    await expect(failing).rejects.toThrow()
    expect(await run(own.mainHeartbeat, 'select 1 as one')).toMatchObject({ rows: [{ one: 1 }] })
  })

  it('is used again where it ended, well or not', async () => {
    const session = async () =>
      (await run<{ rows: { pid: number }[] }>(own.mainHeartbeat, 'select pg_backend_pid() as pid')).rows
    const before = await session()
    await transaction(own.mainHeartbeat, (trx) => run(trx, 'select 1'))
    await expect(transaction(own.mainHeartbeat, (trx) => run(trx, 'select 1/0'))).rejects.toThrow()
    expect(await session()).toEqual(before)
  })
})
