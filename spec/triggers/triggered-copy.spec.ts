import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import type { Replicable } from '../../lib/blob/replicable.ts'
import { createEventTriggers } from '../../lib/index.ts'
import { type Bench, openBench } from '../../lib/testing/bench.ts'
import { settle } from '../../lib/testing/settle.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { registryRow, untyped } from '../support/fixture-rows.ts'

const { widgets } = declareReplicables('unused')
const KEY = 'from/another/program'

let databases: SpecDatabases
let bench: Bench

beforeAll(async () => {
  databases = await createSpecDatabases()
  const { main, standby, tracking } = databases
  await createEventTriggers(main, 'widget', {
    table: 'widgets',
    columns: ['file_path'],
    blobColumn: 'file_path',
    verificationState: 'separate',
  })
  bench = await openBench({
    replicable: widgets as Replicable<never>,
    databases: { main, replica: standby, tracking },
    insertRow: () => Promise.reject(new Error('rows come from raw SQL here')),
  })
})
afterAll(async () => {
  await bench.close()
  await databases.destroy()
})

async function settleBoth(): Promise<void> {
  await settle(bench.primary.parts)
  await bench.caughtUp()
  // What no event has told of stays undone.
  const jobs = bench.secondary.parts.jobs.map(({ name }) => name).filter((name) => name !== 'reconcile')
  await settle(bench.secondary.parts, jobs)
}

async function placeFile(bytes: string): Promise<void> {
  const path = join(bench.primary.type.store.root, KEY)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, bytes)
}

it('A row of raw SQL is verified on the secondary, follows its file and is gone with it, by events alone', async () => {
  const { main, tracking } = databases
  await settleBoth()
  await placeFile('first')
  const { rows } = await main.raw(`insert into widgets (name, file_path) values ('raw', ?) returning id::text as id`, [
    KEY,
  ])
  await settleBoth()
  const copy = join(bench.secondary.type.store.root, KEY)
  expect(await registryRow(tracking, untyped(widgets), rows[0].id)).toMatchObject({ state: 2, verification_state: 2 })
  expect(await readFile(copy, 'utf8')).toBe('first')

  await main.raw('delete from widgets')
  await settleBoth()
  expect(await registryRow(tracking, untyped(widgets), rows[0].id)).toBeUndefined()
  await expect(readFile(copy)).rejects.toThrow('ENOENT')
})
