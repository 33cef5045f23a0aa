import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Knex } from 'knex'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bounded, boundedByKey, run } from '../lib/databases.ts'
import { createSpecDatabases, type SpecDatabases } from './support/databases.ts'

let databases: SpecDatabases
beforeAll(async () => {
  databases = await createSpecDatabases()
})
afterAll(() => databases.destroy())

async function limitsIn(trx: Knex): Promise<unknown> {
  const { rows } = await run<{ rows: unknown[] }>(
    trx,
    `select current_setting('statement_timeout') as statement, current_setting('idle_in_transaction_session_timeout') as pause`,
  )
  return rows[0]
}

describe.each([
  ['bounded', bounded],
  ['boundedByKey', boundedByKey],
] as const)('A transaction of ours, %s,', (_, transaction) => {
  it('lets go of its locks in half a minute where its process is stopped in the midst of it', async () => {
    const { tracking } = databases
    const before = await limitsIn(tracking)
    expect(await transaction(tracking, limitsIn)).toEqual({ statement: '30s', pause: '30s' })
    // Nothing of it stays with the session.
    expect(await limitsIn(tracking)).toEqual(before)
  })

  it('is over for whoever has been silent for too long, and the next one is as any', async () => {
    const { tracking } = databases
    const silent = transaction(tracking, async (trx) => {
      await run(trx, 'select pg_advisory_xact_lock(4711)')
      await run(trx, 'set local idle_in_transaction_session_timeout = 50')
      // It is another session that waits for the lock, until the server has ended this one.
      await run(tracking, 'begin; select pg_advisory_xact_lock(4711); commit')
      await run(trx, 'select 1')
    })
    await expect(silent).rejects.toThrow()
    expect(await transaction(tracking, limitsIn)).toEqual({ statement: '30s', pause: '30s' })
  })
})

const LIB = fileURLToPath(new URL('../lib/', import.meta.url))
// Where the limits are set, the kit for specifications of hosts, and what migrations of hosts call, in transactions that Knex begins.
const ELSEWHERE = /^(databases\.ts|testing\/.*|registry\/table\.ts|verification\/live-table\.ts)$/

it('No transaction of a running site is begun without these limits', async () => {
  const files = (await readdir(LIB, { recursive: true })).filter(
    (file) => file.endsWith('.ts') && !ELSEWHERE.test(file),
  )
  expect(files).toContain('sync/remove.ts')
  const texts = await Promise.all(files.map(async (file) => [file, await readFile(`${LIB}${file}`, 'utf8')] as const))
  expect(texts.filter(([, text]) => /\.transaction\(/.test(text)).map(([file]) => file)).toEqual([])
})
