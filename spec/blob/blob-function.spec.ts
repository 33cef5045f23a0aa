import { access, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { keyOfRow } from '../../lib/blob/key-of-row.ts'
import { replicatorOf } from '../../lib/event/publish.ts'
import { defineReplicable, localDisk } from '../../lib/index.ts'
import { SYNC_STATE as S } from '../../lib/registry/sync-state.ts'
import { addHostRow, addRegistryRow, registeredIds, registryRow, secondsFromNow } from '../support/fixture-rows.ts'
import { createSecondarySite, type SecondarySite } from '../support/secondary-site.ts'

const DAY_MS = 24 * 3_600_000

let site: SecondarySite
let failing: string[]

interface Row {
  readonly id: string
  readonly file_path: string | null
}

function blob({ id, file_path }: Row): string | null {
  if (failing.includes(id)) throw new Error('no such folder')
  return file_path
}

beforeAll(async () => {
  site = await createSecondarySite({
    declare: (root) => {
      const common = { store: localDisk({ root }), blob, available: (query: never) => query }
      const columns = { table: 'gadgets', keyType: 'uuid', verificationState: 'columns' } as const
      return [
        defineReplicable({ name: 'widget', table: 'widgets', verificationState: 'separate', ...common }),
        defineReplicable({ name: 'gadget', ...columns, ...common }),
      ]
    },
  })
  await site.hear()
})
afterAll(() => site.close())
beforeEach(async () => {
  failing = []
  await site.databases.main('widgets').delete()
  await site.databases.tracking('widget_registry').delete()
  site.clock.advance(60_000)
  await site.run('reconcile')
  site.logger.clear()
})

/** Rows of which the first is one that the host's function fails for. */
async function addRows(count: number): Promise<[bad: string, ...good: string[]]> {
  const bad = await addHostRow(site.databases.main, site.widgets, { filePath: 'bad' })
  failing = [bad]
  const good: string[] = []
  for (let number = 1; number < count; number += 1) {
    good.push(await addHostRow(site.databases.main, site.widgets, { filePath: `good/${number}` }))
  }
  return [bad, ...good]
}

const rowOf = (id: string) => registryRow(site.databases.tracking, site.widgets, id)
const told = () => site.logger.coded().filter(({ fields }) => fields['code'] === 'BLOB_FUNCTION_FAILED')

describe('A `blob` of the host that throws for one row', () => {
  it('fails the fetching of that row, in the host’s words, and no other of its batch', async () => {
    const { tracking } = site.databases
    const [bad, good] = await addRows(2)
    for (const id of [bad, good]) await addRegistryRow(tracking, site.widgets, id ?? '')
    await site.databases.caughtUp()
    const batch = await site.assembly.sources.sync.claim()
    if (!batch) throw new Error('Nothing was claimed')
    await site.assembly.sources.sync.work(batch)
    expect(await rowOf(bad)).toMatchObject({
      state: S.failed,
      retry_count: 1,
      error_code: 'BLOB_FUNCTION_FAILED',
      last_sync_failure: `Error while attempting to sync: The blob function of widget failed for #${bad}: no such folder`,
    })
    // There is no primary to ask: the good one waits, and nothing is counted.
    expect(await rowOf(good ?? '')).toMatchObject({ state: S.pending, retry_count: 0 })
  })

  it('leaves its copy as it is in a pass that mends the others, and is told once in each pass', async () => {
    const { main, tracking } = site.databases
    const [bad, good, alsoBad] = await addRows(3)
    failing.push(alsoBad ?? '')
    const copy = { state: S.synced, blob_key: 'former', row_version: '1' }
    for (const id of [bad, good, alsoBad]) await addRegistryRow(tracking, site.widgets, id ?? '', copy)
    const unregistered = await addHostRow(main, site.widgets, { filePath: 'new' })
    for (let pass = 1; pass <= 2; pass += 1) {
      site.clock.advance(60_000)
      await site.run('reconcile')
      expect(told()).toHaveLength(pass)
    }
    expect(told()[0]).toMatchObject({
      message: `The blob function of widget failed for #${bad}: no such folder`,
      fields: { replicable: 'widget', rows: 2 },
    })
    expect(await rowOf(bad)).toMatchObject(copy)
    expect(await rowOf(good ?? '')).toMatchObject({ state: S.pending })
    expect(await registeredIds(tracking, site.widgets)).toContain(unregistered)
    failing = []
    site.clock.advance(60_000)
    await site.run('reconcile')
    expect(await rowOf(bad)).toMatchObject({ state: S.pending })
  })

  it('lets a sweep remove nothing, for any file may be that row’s, and is told once', async () => {
    const { tracking } = site.databases
    const there = (key: string) =>
      access(join(site.root, key)).then(
        () => true,
        () => false,
      )
    await site.geo.health()
    await tracking('geo_stores').update({ created_at: secondsFromNow(tracking, -2 * 86_400), swept_at: null })
    const [bad] = await addRows(2)
    await addRegistryRow(tracking, site.widgets, bad)
    await writeFile(join(site.root, 'bad'), 'filled beforehand')
    site.clock.advance(DAY_MS + 3_600_000)
    await site.run('sweep')
    expect(await there('bad')).toBe(true)
    expect(told()).toMatchObject([{ fields: { rows: 1 } }])
    failing = []
    await site.databases.main('widgets').where({ id: bad }).delete()
    await tracking('widget_registry').delete()
    await tracking('geo_stores').update({ swept_at: null })
    await site.run('sweep')
    expect(await there('bad')).toBe(false)
  })

  it('does not keep the host from deleting that row', async () => {
    const { main } = site.databases
    const [bad] = await addRows(1)
    const gate = { replicationEnabled: () => true }
    const primary = {
      ensureFresh: async () => undefined,
      requireUnfenced: () => undefined,
      role: 'primary',
      writer: { siteName: 'rome', epoch: 0 },
    }
    const nothing = async () => undefined
    const replicator = replicatorOf(
      main,
      site.widgets,
      primary as never,
      gate as never,
      { requestChecksum: nothing, forgetChecksum: nothing },
      () => undefined,
    )
    await main.transaction((trx) => replicator.deleted({ id: bad }, trx))
    const [event] = await main('geo_events').orderBy('id', 'desc').limit(1)
    expect(event).toMatchObject({ event_name: 'deleted', payload: { model_record_id: bad } })
  })
})

describe('What a `blob` of the host returns', () => {
  const said = (value: unknown) => keyOfRow({ ...site.widgets, blob: () => value as string }, {}, '7')

  it.each([
    ['a key', 'a/b', { key: 'a/b', failure: null }],
    ['null', null, { key: null, failure: null }],
    ['nothing', undefined, { key: null, failure: null }],
  ])('may be %s', (_, value, expected) => {
    expect(said(value)).toEqual(expected)
  })

  it.each([
    ['number', () => 7],
    ['object', () => ({ path: 'a' })],
    ['object', () => Promise.reject(new Error('an async function'))],
  ])('may be no %s: that fails for its row alone', (type, answer) => {
    expect(said(answer())).toMatchObject({
      key: null,
      failure: {
        code: 'BLOB_FUNCTION_FAILED',
        message: `The blob function of widget failed for #7: it returned a value of type ${type}`,
      },
    })
  })
})
