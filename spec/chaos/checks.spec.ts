import { mkdir, mkdtemp, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { CHECKS } from './checks/index.ts'
import { REMEMBER_KEYS } from './checks/named-keys.ts'
import type { Query, Scene } from './checks/scene.ts'
import { rowsOf } from './databases.ts'
import { Ledger } from './ledger.ts'
import { seededBytes, sha256Of } from './seeded.ts'
import { stateOf } from './settled.ts'
import { MARKER, Watcher } from './watcher.ts'

const BYTES = 2000
const CHECKSUM = String.raw`'\x01aaaaaaaaaaaaaaaa'::bytea`

let databases: SpecDatabases
let folder: string
let scene: Scene

const queryOn =
  (url: string): Query =>
  (statement, values) =>
    rowsOf(url, statement, values)
const versionOf = (key: string) => ({ key, sha256: sha256Of(seededBytes(key, BYTES)), bytes: BYTES })
const primaryFile = (key: string) => join(folder, 'primary', key)
const secondaryFile = (key: string) => join(folder, 'secondary', key)

async function store(path: string, bytes: Uint8Array | string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, bytes)
}

/** What one check says, and that the others are silent about it, but for those named. */
async function says(name: string, alsoSays: readonly string[] = []): Promise<string[]> {
  const said = new Map<string, string[]>()
  for (const check of CHECKS) said.set(check.name, await check.look(scene))
  for (const [other, found] of said) {
    if (other !== name && !alsoSays.includes(other)) expect(found, other).toEqual([])
  }
  return said.get(name) ?? []
}

/** So long from now work of the secondary is broken off. */
function brokenOff(inMs: number): void {
  scene = {
    ...scene,
    secondaries: scene.secondaries.map((secondary) => ({ ...secondary, brokenOff: [Date.now() + inMs] })),
  }
}

beforeAll(async () => {
  databases = await createSpecDatabases()
  await databases.tracking.raw(REMEMBER_KEYS)
})

afterAll(async () => {
  await databases.destroy()
})

/** Three widgets: one as it was stored, one that was replaced, one that was deleted. All is in step. */
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'geo-chaos-checks-'))
  const { main, tracking } = databases
  await main.raw('truncate widgets, gadgets restart identity cascade')
  await tracking.raw('truncate widget_registry, gadget_registry, chaos_named_keys')
  const ledger = new Ledger()
  for (const id of ['1', '2', '3'])
    ledger.add({ kind: 'published', type: 'widgets', id, version: versionOf(`widgets/${id}`) })
  ledger.add({ kind: 'replaced', type: 'widgets', id: '2', version: versionOf('widgets/new') })
  ledger.add({ kind: 'deleted', type: 'widgets', id: '3' })
  for (const [id, key] of [
    ['1', 'widgets/1'],
    ['2', 'widgets/new'],
  ] as const) {
    for (const path of [primaryFile(key), secondaryFile(key)]) await store(path, seededBytes(key, BYTES))
    await main('widgets').insert({ id, name: key, file_path: key })
    await main.raw(
      `insert into widget_states (widget_id, verification_state, verification_checksum) values (?, 2, ${CHECKSUM})`,
      [id],
    )
    await tracking('widget_registry').insert({
      widget_id: id,
      created_at: new Date(),
      state: 2,
      verification_state: 2,
      blob_key: key,
    })
  }
  scene = {
    ledger,
    primary: { blobsDir: join(folder, 'primary'), main: queryOn(databases.mainUrl) },
    secondaries: [
      { name: 'paris', blobsDir: join(folder, 'secondary'), tracking: queryOn(databases.trackingUrl), brokenOff: [] },
    ],
    processes: [
      { name: 'paris-server-0', output: '\ngeo: works for paris\n{"level":"warn","code":"TIMED_OUT"}\n', ends: [] },
    ],
    torn: [],
    transfers: { capacity: 10, mostOpen: 10 },
    recorded: new Map(),
  }
  return () => rm(folder, { recursive: true, force: true })
})

describe('the checks of a chaos run', () => {
  it('are silent where all is in step', async () => {
    for (const check of CHECKS) expect(await check.look(scene), check.name).toEqual([])
    expect(await stateOf(scene.ledger, queryOn(databases.trackingUrl))).toBeNull()
  })

  it('find a row that is not on the secondary', async () => {
    await databases.tracking('widget_registry').where({ widget_id: 1 }).delete()
    expect(await says('lost')).toEqual(['paris: widgets/1 has no registry row'])
    expect(await stateOf(scene.ledger, queryOn(databases.trackingUrl))).toMatch('1 rows are not verified (widgets/1)')
  })

  it('find a row that is not verified', async () => {
    await databases.tracking('widget_registry').where({ widget_id: 1 }).update({ verification_state: 0 })
    expect(await says('lost')).toEqual([expect.stringContaining('widgets/1 is in state 2, verification 0')])
  })

  it('find a row that has stayed at an earlier version', async () => {
    await databases.tracking('widget_registry').where({ widget_id: 2 }).update({ blob_key: 'widgets/2' })
    await store(secondaryFile('widgets/2'), seededBytes('widgets/2', BYTES))
    expect(await says('lost', ['gone'])).toEqual([
      'paris: widgets/2 is kept under widgets/2, and the host has widgets/new',
    ])
  })

  it('find bytes that are not those that were stored', async () => {
    await store(secondaryFile('widgets/1'), seededBytes('others', BYTES))
    expect(await says('lost')).toEqual([expect.stringContaining('paris: widgets/1: widgets/1 has 2000 bytes')])
  })

  it('find a record that has two rows', async () => {
    const { tracking } = databases
    await tracking.raw('drop index index_widget_registry_on_widget_id')
    try {
      await tracking.raw(
        `insert into widget_registry (widget_id, created_at, state, verification_state, blob_key)
         select widget_id, created_at, state, verification_state, blob_key from widget_registry where widget_id = 1`,
      )
      expect(await says('twice')).toEqual(['paris: widgets/1 has 2 rows in widget_registry'])
    } finally {
      await tracking('widget_registry').delete()
      await tracking.raw('create unique index index_widget_registry_on_widget_id on widget_registry (widget_id)')
    }
  })

  it('find what was deleted and is there', async () => {
    await store(secondaryFile('widgets/3'), seededBytes('widgets/3', BYTES))
    await databases.tracking('widget_registry').insert({
      widget_id: 3,
      created_at: new Date(),
      state: 2,
      verification_state: 2,
      blob_key: 'widgets/3',
    })
    expect(await says('gone')).toEqual([
      'paris: widgets/3 is deleted and has a registry row',
      'paris: widgets/3 is deleted, and widgets/3 is there',
    ])
  })

  it('find what was replaced and is there', async () => {
    await store(secondaryFile('widgets/2'), seededBytes('widgets/2', BYTES))
    expect(await says('gone')).toEqual(['paris: widgets/2 is replaced, and widgets/2 is there'])
  })

  it('find a temporary file, unless work was broken off that may have left it', async () => {
    await store(secondaryFile('widgets/.geo-tmp-1'), 'half of it')
    await store(secondaryFile('.geo-store.json'), '{}')
    expect(await says('unfinished')).toEqual(['paris: widgets/.geo-tmp-1 is left'])
    brokenOff(1000)
    expect(await says('unfinished')).toEqual([])
    brokenOff(-3_600_000)
    expect(await says('unfinished')).toHaveLength(1)
    brokenOff(60_000)
    expect(await says('unfinished')).toHaveLength(1)
  })

  it('know a file that was left by when it was written, also once the whole store was copied to another disk', async () => {
    await store(secondaryFile('widgets/.geo-tmp-1'), 'half of it')
    const writtenAt = new Date(Date.now() - 3_600_000)
    await utimes(secondaryFile('widgets/.geo-tmp-1'), writtenAt, writtenAt)
    brokenOff(-3_599_000)
    expect(await says('unfinished')).toEqual([])
    brokenOff(1000)
    expect(await says('unfinished')).toHaveLength(1)
  })

  it('allow for the file of a deleted row whose work was broken off before it was named', async () => {
    await store(secondaryFile('widgets/3'), seededBytes('widgets/3', BYTES))
    brokenOff(1000)
    expect(await says('gone')).toEqual([])
    await databases.tracking('chaos_named_keys').insert({ key: 'widgets/3' })
    expect(await says('gone')).toHaveLength(1)
  })

  it('find a synced row without a file', async () => {
    await rm(secondaryFile('widgets/1'))
    expect(await says('absent', ['lost'])).toEqual(['paris: widgets/1 is synced, and there is no widgets/1'])
  })

  it('find a file of the primary that was changed or removed', async () => {
    await store(primaryFile('widgets/1'), seededBytes('others', BYTES))
    await rm(primaryFile('widgets/new'))
    expect(await says('untouched')).toEqual([
      "widgets/1: the primary's widgets/1 has other bytes than the host stored",
      'widgets/2: the primary has no file widgets/new any more',
    ])
  })

  it('find a recorded checksum that was changed or cleared', async () => {
    expect(await says('untouched')).toEqual([])
    await databases.main('widget_states').where({ widget_id: 1 }).update({ verification_checksum: null })
    expect(await says('untouched')).toEqual(['widgets/1: its recorded checksum was 01aaaaaaaaaaaaaaaa and is null'])
  })

  it('find a row that the primary has lost', async () => {
    await databases.main('widgets').where({ id: 1 }).delete()
    expect(await says('untouched')).toEqual(['widgets/1 has no row on the primary any more'])
  })

  it('find a process that ended by itself', async () => {
    scene = { ...scene, processes: [{ name: 'tokyo-server-1', output: '', ends: ['ended with 1'] }] }
    expect(await says('died')).toEqual(['tokyo-server-1 ended with 1'])
  })

  it.each([
    ['    at file:///lib/geo.ts:1:1', 'wrote what is no log line'],
    ['{"level":"error","code":"INTERNAL"}', 'logged INTERNAL'],
    ['{"level":"error","geo":"A listener failed"}', 'logged an error without a code'],
    ['{"level":warn}', 'wrote what is no log line'],
  ])('find %s in the output of a process', async (line, complaint) => {
    scene = { ...scene, processes: [{ name: 'tokyo-server-1', output: `${line}\n`, ends: [] }] }
    expect(await says('output')).toEqual([`tokyo-server-1 ${complaint}: ${line}`])
  })

  it('allow for half a line of a process that was killed', async () => {
    scene = { ...scene, processes: [{ name: 'tokyo-server-1', output: '{"level":"wa\n', ends: [] }] }
    expect(await says('output')).toEqual([])
  })

  it('find more transfers than there may be', async () => {
    scene = { ...scene, transfers: { capacity: 10, mostOpen: 11 } }
    expect(await says('capacity')).toEqual(['11 transfers were open at once; the capacity is 10'])
  })

  it('find nothing amiss with a row whose last change was never answered', async () => {
    scene.ledger.add({ kind: 'unanswered', type: 'widgets', id: '1', reason: 'Connection terminated' })
    await databases.tracking('widget_registry').where({ widget_id: 1 }).delete()
    expect(await says('lost')).toEqual([])
  })
})

describe('the watcher of final names', () => {
  it('finds half a file, a key that was never given, and bytes that changed', async () => {
    const watcher = new Watcher(join(folder, 'secondary'), scene.ledger)
    await expect.poll(() => watcher.looks).toBe(2)
    expect(watcher.torn).toEqual([])
    await store(secondaryFile('widgets/3'), seededBytes('widgets/3', BYTES).subarray(1))
    await store(secondaryFile('widgets/stray'), 'x')
    await expect.poll(() => watcher.torn.length).toBe(2)
    await store(secondaryFile('widgets/1'), seededBytes('others', BYTES))
    await store(secondaryFile('widgets/.geo-tmp-1'), 'half of it')
    await watcher.lookAtAll()
    await watcher.close()
    expect(watcher.torn).toEqual([
      expect.stringContaining('widgets/3 has 1999 bytes'),
      expect.stringContaining('widgets/stray has a key that the host never gave'),
      expect.stringContaining('widgets/1 has 2000 bytes'),
    ])
  })

  it('looks again at what it could not read', async () => {
    const unreadable = secondaryFile('widgets/3')
    const watcher = new Watcher(join(folder, 'secondary'), scene.ledger)
    await mkdir(join(folder, 'secondary'), { recursive: true })
    // A loop of links can be found, and not be read, by nobody.
    await symlink(unreadable, unreadable)
    await expect.poll(() => watcher.misses.length).toBeGreaterThan(0)
    await expect(watcher.lookAtAll()).rejects.toThrow('ELOOP')
    await rm(unreadable)
    await store(unreadable, 'half of it')
    await expect.poll(() => watcher.torn).toEqual([expect.stringContaining('widgets/3 has 10 bytes')])
    await watcher.close()
  })

  it('knows the damage that was done on purpose, to the byte', async () => {
    const damaged = seededBytes('damaged', 7)
    scene.ledger.add({ kind: 'damaged', path: secondaryFile('widgets/1'), sha256: sha256Of(damaged) })
    await store(secondaryFile('widgets/1'), damaged)
    const watcher = new Watcher(join(folder, 'secondary'), scene.ledger)
    await expect.poll(() => watcher.looks).toBe(2)
    expect(watcher.torn).toEqual([])
    await store(secondaryFile('widgets/1'), seededBytes('damaged otherwise', 7))
    await watcher.lookAtAll()
    await watcher.close()
    expect(watcher.torn).toEqual([expect.stringContaining('widgets/1 has 7 bytes')])
  })

  it('leaves another volume alone that lies in place of the one it began with', async () => {
    const root = join(folder, 'secondary')
    await store(join(root, MARKER), 'mine')
    const watcher = new Watcher(root, scene.ledger)
    await expect.poll(() => watcher.looks).toBe(2)
    await rename(root, `${root}.away`)
    await store(join(root, MARKER), 'of another')
    await store(secondaryFile('widgets/stray'), 'x')
    await watcher.lookAtAll()
    await watcher.close()
    expect(watcher.torn).toEqual([])
  })
})
