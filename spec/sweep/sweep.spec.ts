import { access, mkdir, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { localDisk } from '../../lib/blob/local-disk.ts'
import { defineReplicable } from '../../lib/blob/replicable.ts'
import { facadeOf } from '../../lib/facade.ts'
import { assemble } from '../../lib/geo.ts'
import { parseOptions } from '../../lib/options.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { addHostRow, addRegistryRow, ENCRYPTION_KEY, secondsFromNow } from '../support/fixture-rows.ts'
import { createSecondarySite, SECONDARY_NAME, type SecondarySite } from '../support/secondary-site.ts'

const DAY_MS = 24 * 3_600_000

let site: SecondarySite

beforeEach(async () => {
  site = await createSecondarySite()
  await prepare()
})
afterEach(() => site.close())

/** The stores are known, and were used for two days; what is written from now on is a day and an hour old. */
async function prepare(): Promise<void> {
  await site.geo.health()
  await site.databases
    .tracking('geo_stores')
    .update({ created_at: secondsFromNow(site.databases.tracking, -2 * 86_400) })
  site.clock.advance(DAY_MS + 3_600_000)
}

async function write(...keys: string[]): Promise<void> {
  for (const key of keys) {
    await mkdir(dirname(join(site.root, key)), { recursive: true })
    await writeFile(join(site.root, key), 'bytes')
  }
}

async function young(key: string): Promise<void> {
  await write(key)
  const later = new Date(Date.now() + DAY_MS)
  await utimes(join(site.root, key), later, later)
}

async function there(...keys: string[]): Promise<string[]> {
  const found = await Promise.all(
    keys.map((key) =>
      access(join(site.root, key)).then(
        () => true,
        () => false,
      ),
    ),
  )
  return keys.filter((_, position) => found[position])
}

/** Goes on with a sweep up to where all rows have been read and files were found, but nothing was done about them. */
async function findCandidates(): Promise<void> {
  await site.databases.caughtUp()
  const sweep = site.assembly.jobs.find(({ name }) => name === 'sweep')
  const pagesOfRows = [site.widgets, site.gadgets].length
  for (let step = 0; step < pagesOfRows + 1; step += 1) await sweep?.run(new AbortController().signal)
}

const counted = async () => (await site.geo.drift()).map(({ replicable, kind, count }) => ({ replicable, kind, count }))

describe('A file without either row on a secondary', () => {
  it('is removed and counted, and nothing else is', async () => {
    const { main, tracking } = site.databases
    await addHostRow(main, site.widgets, { filePath: 'a/row' })
    await addHostRow(main, site.gadgets, { filePath: 'a/gadget' })
    await addRegistryRow(tracking, site.widgets, '77', { state: SYNC_STATE.synced, blob_key: 'a/copy' })
    await addRegistryRow(tracking, site.widgets, '78', {
      state: SYNC_STATE.synced,
      blob_key: 'x',
      superseded_keys: ['a/former'],
    })
    await addRegistryRow(tracking, site.gadgets, crypto.randomUUID(), { state: SYNC_STATE.synced, blob_key: 'a/other' })
    const kept = ['a/row', 'a/gadget', 'a/copy', 'a/former', 'a/other']
    const nobodys = ['nobody', 'a/nobody', 'b/c/d/nobody']
    await write(...kept, ...nobodys)
    await young('a/young')
    await symlink('nobody', join(site.root, 'a/link'))
    await write('another/.geo-store.json', 'another/store')
    await site.run('sweep')
    expect(await there(...kept, ...nobodys, 'a/young', 'b', 'another/store', '.geo-store.json')).toEqual([
      ...kept,
      'a/young',
      'another/store',
      '.geo-store.json',
    ])
    expect(await counted()).toEqual([{ replicable: 'widget', kind: 'file_without_either', count: 3 }])
    expect(site.logger.codes()).toContain('ORPHANED_FILES')
    expect((await site.geo.health()).findings.map(({ code }) => code)).not.toContain('ORPHANED_FILES')
  })

  it('stays for a day after it was put there, however old its bytes are', async () => {
    await write('of old')
    const longAgo = new Date(Date.now() - 9 * DAY_MS)
    await utimes(join(site.root, 'of old'), longAgo, longAgo)
    site.clock.advance(-(DAY_MS + 3_600_000))
    await site.run('sweep')
    expect(await there('of old')).toEqual(['of old'])
  })

  it('may be one of many', async () => {
    await write(...Array.from({ length: 320 }, (_, number) => `many/${number % 7}/${number}`))
    await site.run('sweep')
    expect(await there('many')).toEqual([])
    expect(await counted()).toMatchObject([{ count: 320 }])
  })

  it('is looked for once a day', async () => {
    await site.run('sweep')
    await write('later')
    await site.run('sweep')
    expect(await there('later')).toEqual(['later'])
    const { tracking } = site.databases
    await tracking('geo_stores').update({ swept_at: secondsFromNow(tracking, -86_401) })
    await site.run('sweep')
    expect(await there('later')).toEqual([])
  })

  it('is left of a row out of scope as of any that has gone', async () => {
    const { main } = site.databases
    await addHostRow(main, site.widgets, { filePath: 'of bob' })
    await main('widgets').update({ owner: 'bob' })
    await write('of bob')
    await site.update({ selectiveSync: { type: 'namespaces', namespaceIds: ['ann'] } })
    await site.run('sweep')
    expect(await there('of bob')).toEqual([])
  })

  it('is not one that waits for its registry row, or whose row is on its way', async () => {
    const { main, tracking } = site.databases
    const id = await addHostRow(main, site.widgets, { filePath: 'first' })
    await addRegistryRow(tracking, site.widgets, id, { state: SYNC_STATE.failed, blob_key: 'stored' })
    await write('first', 'stored', 'second')
    await main('widgets').update({ file_path: 'second' })
    await site.run('sweep')
    expect(await there('first', 'stored', 'second')).toEqual(['stored', 'second'])
  })

  it('is not one whose row came while the store was looked through', async () => {
    const { main, tracking } = site.databases
    await write('new', 'nobody')
    await findCandidates()
    const id = await addHostRow(main, site.gadgets, { filePath: 'new' })
    await addRegistryRow(tracking, site.gadgets, id)
    await site.run('sweep')
    expect(await there('new', 'nobody')).toEqual(['new'])
  })

  it('stays where a row came while the store was looked through whose key the host cannot say', async () => {
    await site.close()
    const blob = ({ file_path }: { file_path: string }) => {
      if (file_path === 'unsayable') throw new Error('no')
      return file_path
    }
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
    await prepare()
    await write('nobody')
    await findCandidates()
    const id = await addHostRow(site.databases.main, site.gadgets, { filePath: 'unsayable' })
    await addRegistryRow(site.databases.tracking, site.gadgets, id)
    await site.run('sweep')
    expect(await there('nobody')).toEqual(['nobody'])
  })

  it('stays where its store has gone while it was looked through', async () => {
    await write('nobody')
    await findCandidates()
    await rm(join(site.root, '.geo-store.json'))
    site.clock.advance(2000)
    await expect(site.run('sweep')).rejects.toThrow('is not mounted any more')
    expect(await there('nobody')).toEqual(['nobody'])
  })

  it('stays while the registries are too busy to be sure, and goes later', async () => {
    const { tracking } = site.databases
    await write('nobody')
    const busy = await tracking.transaction()
    try {
      await busy('gadget_registry').delete()
      await site.run('sweep')
      expect(await there('nobody')).toEqual(['nobody'])
    } finally {
      await busy.rollback()
    }
    await site.run('sweep')
    expect(await there('nobody')).toEqual([])
  })

  it('stays while too many files are on their way or failed, and is looked for again an hour later', async () => {
    const { tracking } = site.databases
    await write('nobody')
    await tracking.raw(
      `insert into widget_registry (widget_id, created_at, state) select n, now(), ${SYNC_STATE.failed} from generate_series(1, 1000) n`,
    )
    await site.run('sweep')
    expect(await there('nobody')).toEqual(['nobody'])
    await tracking('widget_registry').delete()
    await site.run('sweep')
    expect(await there('nobody')).toEqual(['nobody'])
    site.clock.advance(3_600_000)
    await site.run('sweep')
    expect(await there('nobody')).toEqual([])
  })

  it('stays in a store that is not the one that it was, or that holds types which are not declared any more', async () => {
    const { tracking } = site.databases
    await write('nobody')
    const [{ store_id: storeId }] = await tracking('geo_stores').select('store_id').limit(1)
    await tracking('geo_stores').insert({ replicable_name: 'gizmo', site_name: SECONDARY_NAME, store_id: storeId })
    await site.run('sweep')
    expect(await there('nobody')).toEqual(['nobody'])
    await tracking('geo_stores').where({ replicable_name: 'gizmo' }).delete()
    await tracking('geo_stores').update({ store_id: crypto.randomUUID(), swept_at: null })
    site.clock.advance(2000)
    await site.run('sweep')
    expect(await there('nobody')).toEqual(['nobody'])
  })

  it('stays where the host wants it only to be reported', async () => {
    await site.close()
    site = await createSecondarySite({ orphans: 'report' })
    await prepare()
    await write('nobody')
    await site.run('sweep')
    expect(await there('nobody')).toEqual(['nobody'])
    expect(await counted()).toEqual([])
    expect(site.logger.codes()).toContain('ORPHANED_FILES')
    expect((await site.geo.health()).findings.map(({ code }) => code)).toContain('ORPHANED_FILES')
  })
})

describe('What a transfer left whose process died', () => {
  it('goes after a day', async () => {
    const left = ['.geo-tmp-1', 'a/.geo-tmp-2', 'a/.geo-part-3', 'a/.geo-part-3.etag']
    await write(...left)
    await young('a/.geo-part-4')
    await site.run('sweep')
    expect(await there(...left, 'a/.geo-part-4')).toEqual(['a/.geo-part-4'])
    expect(await counted()).toEqual([])
  })
})

describe('On the primary', () => {
  it('a file without its row is reported and stays, and what a transfer left goes', async () => {
    const { main } = site.databases
    const root = join(site.root, 'of-the-primary')
    const { widgets, gadgets } = declareReplicables(root)
    const primary = assemble(
      parseOptions({
        siteName: 'rome',
        mainDb: main,
        replicables: [widgets, gadgets],
        encryptionKey: ENCRYPTION_KEY.toString('hex'),
        clock: site.clock,
        logger: site.logger,
        threads: 1,
      }),
    )
    try {
      await primary.sites.refresh()
      await facadeOf(primary).health()
      await main('geo_stores').update({ created_at: secondsFromNow(main, -2 * 86_400) })
      await addHostRow(main, site.widgets, { filePath: 'a/row' })
      const files = ['a/row', 'a/nobody', '.geo-tmp-1'].map((key) => `of-the-primary/${key}`)
      await write(...files)
      const sweep = primary.jobs.find(({ name }) => name === 'sweep')
      while (await sweep?.run(new AbortController().signal));
      expect(await there(...files)).toEqual(files.slice(0, 2))
      expect(site.logger.lines.find(({ fields }) => fields['code'] === 'ORPHANED_FILES')?.fields).toMatchObject({
        files: 1,
        examples: ['a/nobody'],
      })
      const orphans = async () => {
        const { findings, status } = await facadeOf(primary).health()
        expect(status).toBe('healthy')
        return findings.filter(({ code }) => code === 'ORPHANED_FILES').map(({ message }) => message)
      }
      expect(await orphans()).toEqual([
        expect.stringMatching(
          /^Files that no row names in the store of gadget, widget: 1, as of \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/,
        ),
      ])
      await addHostRow(main, site.widgets, { filePath: 'a/nobody' })
      await main('geo_stores').update({ swept_at: secondsFromNow(main, -86_401) })
      while (await sweep?.run(new AbortController().signal));
      expect(await orphans()).toEqual([])
    } finally {
      await primary.stop()
    }
  })
})
