import { createHash } from 'node:crypto'
import { lstatSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, utimesSync } from 'node:fs'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { confinedPath } from '../../lib/blob/confine.ts'
import { isLegalKey } from '../../lib/blob/key.ts'
import { localDisk } from '../../lib/blob/local-disk.ts'
import { defineReplicable } from '../../lib/blob/replicable.ts'
import { MARKER_NAME } from '../../lib/blob/store-marker.ts'
import { isErrorCode } from '../../lib/errors.ts'
import { Arrival } from '../../lib/transfer/arrival.ts'
import type { ReceiveOutcome, WantedBlob } from '../../lib/transfer/blob-order.ts'
import { decodeFrames } from '../../lib/transfer/frame.ts'
import { PartFiles } from '../../lib/transfer/part.ts'
import { placeBlobs } from '../../lib/transfer/place.ts'
import { openBlob } from '../../lib/transfer/serve-one.ts'
import { TransferThreads } from '../../lib/transfer/threads.ts'
import { ChecksumPool } from '../../lib/verification/checksum.ts'
import { seedOfRun } from '../support/draw.ts'
import {
  CANARY,
  type HostileGround,
  type HostileKey,
  hostileKeys,
  INSIDE,
  layCanaries,
  MARKER_PLANTS,
  plant,
  plantFifo,
} from '../support/hostile-keys.ts'

import { digestOf } from '../support/verifying-site.ts'

const KEYS = 10_000
const KEYS_PER_ROUND = 100
const ETAG = '"of-the-primary"'
const ARRIVED = Buffer.from(`${INSIDE}, arrived`)

let ground: HostileGround
let threads: TransferThreads
let pool: ChecksumPool

beforeAll(async () => {
  const base = await realpath(await mkdtemp(join(tmpdir(), 'geo-hostile-')))
  ground = { base, root: join(base, 'root') }
  layCanaries(ground)
  threads = new TransferThreads(1)
  pool = new ChecksumPool(1)
})
afterAll(async () => {
  await threads.close()
  await pool.close()
  await rm(ground.base, { recursive: true, force: true })
})

/** All there is beside the root, with what would tell of a reader, a writer or a remover. */
function outside(): string[] {
  const described: string[] = []
  const walk = (folder: string) => {
    for (const name of readdirSync(folder).sort()) {
      const path = join(folder, name)
      if (path === ground.root) continue
      const { ino, mode, nlink, size, atimeNs, mtimeNs, ctimeNs } = lstatSync(path, { bigint: true })
      // Looking into a folder here would count as reading it.
      const isFolder = lstatSync(path).isDirectory()
      described.push(
        [relative(ground.base, path), ino, mode, nlink, size, mtimeNs, ctimeNs, ...(isFolder ? [] : [atimeNs])].join(
          ' ',
        ),
      )
      if (isFolder) walk(path)
    }
  }
  walk(ground.base)
  return described
}

/** With relatime a reader leaves a trace where the last one came before the last writer. */
function forgetReaders(): void {
  for (const line of outside()) {
    const path = join(ground.base, line.split(' ')[0] ?? '')
    if (lstatSync(path).isFile()) utimesSync(path, new Date(2001, 0), new Date(2002, 0))
  }
}

const wanted = (key: string, id = '1'): WantedBlob => ({ id, key, expected: null })

function expectTyped(code: unknown, key: string): void {
  expect(isErrorCode(code) ? code : `no code: ${code}`, JSON.stringify(key)).not.toMatch(/^no code|^INTERNAL$/)
}

function expectInside(path: string): void {
  expect(realpathSync(dirname(path)).concat('/').startsWith(`${ground.root}/`), path).toBe(true)
}

/** Runs what may fail with a code and nothing else. */
async function typed<Result>(key: string, act: () => Promise<Result>): Promise<Result | null> {
  try {
    return await act()
  } catch (reason) {
    expectTyped((reason as { code?: unknown }).code, key)
    expect((reason as Error).name).toBe('GeoError')
    return null
  }
}

async function read(keys: readonly string[]): Promise<number> {
  const { root } = ground
  const store = localDisk({ root, durable: false })
  const replicable = defineReplicable({
    name: 'widget',
    table: 'widgets',
    verificationState: 'separate',
    store,
    blob: () => null,
  })
  let files = 0
  const readOne = async (key: string): Promise<void> => {
    await typed(key, () => store.stat(key))
    const file = await typed(key, () => openBlob(replicable, '1', key))
    if (!file) return
    files += 1
    expect((await file.readFile('utf8')).startsWith(INSIDE), key).toBe(true)
    await file.close()
  }
  await Promise.all(keys.map(readOne))
  const packed = await threads.pack(
    keys.map((key, position) => ({ id: String(position), root, key })),
    0,
  )
  expect(packed.failures.length).toBeGreaterThan(0)
  for (const { code, id } of packed.failures) expectTyped(code, String(keys[Number(id)]))
  const { frames = [] } = decodeFrames(Buffer.from(packed.response)) ?? {}
  expect(frames).toHaveLength(keys.length)
  for (const { header, body } of frames) if (header.frame === 'blob') expect(body.toString()).toMatch(/^inside/)
  const digests = await Promise.all([INSIDE, ARRIVED].map(async (bytes) => (await digestOf(bytes)).hex))
  const hashed = await pool.checksumSome(keys.map((key) => ({ root, key, algorithms: ['xxh64'] as const })))
  expect(hashed).toHaveLength(keys.length)
  hashed.forEach((result, position) => {
    if (result.ok) expect(digests, keys[position]).toContain(result.digests[0]?.hex)
    else expectTyped(result.code, String(keys[position]))
  })
  const canary = await digestOf(`${CANARY} (canaries/secret)`)
  const present = await threads.findPresent({
    root,
    durable: false,
    blobs: keys.map((key) => ({ ...wanted(key), expected: canary })),
  })
  expect(present.filter((bytes) => bytes !== null)).toEqual([])
  return files
}

/** What is put where a transfer of this blob keeps its part: whoever knows the row can reckon the names. */
function plantAtPart(blob: WantedBlob, position: number): void {
  if (!isLegalKey(blob.key)) return
  const canary = (name: string) => join(ground.base, 'canaries', name)
  try {
    const parts = new PartFiles(dirname(confinedPath(ground.root, blob.key)), 'widget', blob)
    const plants = [
      () => undefined,
      () => symlinkSync(canary('secret'), parts.notePath),
      () => symlinkSync(canary('made-by-a-note'), parts.notePath),
      () => symlinkSync(canary('secret'), parts.pathOf(ETAG)),
      () => symlinkSync(canary('made-by-a-part'), parts.pathOf(ETAG)),
      () => mkdirSync(parts.notePath),
    ]
    if (position % 25 === 0) plantFifo(parts.notePath)
    else if (position % 25 === 1) plantFifo(parts.pathOf(ETAG))
    else plants[position % plants.length]?.()
  } catch (reason) {
    expect(['EEXIST', 'ENOENT', 'ENOTDIR', 'KEY_OUTSIDE_ROOT']).toContain((reason as { code: string }).code)
  }
}

async function write(keys: readonly string[], how: 'part' | 'temporary', names: 'free' | 'any'): Promise<number> {
  const { root } = ground
  const outcomes: ReceiveOutcome[] = []
  for (const [position, key] of keys.entries()) {
    const blob = wanted(key, String(position))
    const arrival = new Arrival(root, blob)
    if (how === 'temporary') await arrival.begin()
    else {
      plantAtPart(blob, position)
      arrival.partThere('widget')
      await arrival.beginPart('widget', ETAG)
      await arrival.rereadPart(new AbortController().signal)
    }
    arrival.bytes = 0
    arrival.write(ARRIVED)
    outcomes.push(arrival.finish(false))
  }
  const arrived = outcomes.flatMap((outcome) => {
    if (outcome.outcome === 'failed') expectTyped(outcome.code, String(keys[Number(outcome.id)]))
    return outcome.outcome === 'received' ? [outcome] : []
  })
  for (const { temporaryPath } of arrived) {
    expectInside(temporaryPath)
    expect(lstatSync(temporaryPath).isFile()).toBe(true)
  }
  // One key may be there twice, and a file may have come where another needs a folder.
  const placed = await placeBlobs({ root, durable: false, blobs: arrived, names, algorithm: 'xxh64' })
  let files = 0
  placed?.forEach((result, position) => {
    const blob = arrived[position]
    if (result.outcome === 'failed') expectTyped(result.code, String(blob?.key))
    if (result.outcome !== 'placed' || !blob) return
    files += 1
    const path = join(root, blob.key)
    expectInside(path)
    expect(readFileSync(path, 'utf8').startsWith(INSIDE), blob.key).toBe(true)
  })
  return files
}

/** Plants something in place of the marker, and looks at it as those do who ask whose store it is. */
async function lookAtMarker(position: number): Promise<string> {
  const { root, base } = ground
  const plants = Object.entries(MARKER_PLANTS)
  const [what, plantAt] = plants[position % plants.length] as (typeof plants)[number]
  const path = join(root, MARKER_NAME)
  plantAt(path, join(base, 'canaries/secret'))
  const store = localDisk({ root, durable: false })
  const task = { root, durable: false, blobs: [], names: 'free', algorithm: 'xxh64', storeId: 'x' } as const
  await expect(store.readMarker(), what).rejects.toMatchObject({ code: 'STORE_NOT_MOUNTED' })
  await expect(store.claimMarker({ site: 'tokyo', store: 'x' }), what).rejects.toMatchObject({
    code: 'STORE_NOT_MOUNTED',
  })
  expect(await threads.place(task), what).toEqual([])
  rmSync(path, { recursive: true })
  return what
}

async function remove(keys: readonly string[]): Promise<number> {
  const store = localDisk({ root: ground.root, durable: false })
  let files = 0
  for (const key of keys) if (await typed(key, () => store.remove(key))) files += 1
  return files
}

// One minute by itself, and as many again as others want of the machine.
it(`${KEYS} hostile keys and what is planted read, write and remove nothing outside of the root, and each failure has a code`, {
  timeout: 600_000,
}, async () => {
  const seed = seedOfRun()
  const all: HostileKey[] = hostileKeys(ground, { seed, count: KEYS })
  plant(ground)
  forgetReaders()
  const before = outside()
  const looked = new Set<string>()
  const came = { read: 0, written: 0, removed: 0, refused: 0 }
  for (let round = 0; round * KEYS_PER_ROUND < KEYS; round += 1) {
    const keys = all.slice(round * KEYS_PER_ROUND, (round + 1) * KEYS_PER_ROUND).map(({ key }) => key)
    looked.add(await lookAtMarker(round))
    plant(ground)
    came.refused += keys.filter((key) => !isLegalKey(key)).length
    came.read += await read(keys)
    came.written += await write(keys, round % 2 ? 'part' : 'temporary', round % 4 < 2 ? 'free' : 'any')
    // What a key was given is read by that key.
    if (round % 5 === 0) came.read += await read(keys)
    came.removed += await remove(keys)
    expect(outside(), `after round ${round} of seed ${seed}`).toEqual(before)
  }
  console.log(JSON.stringify({ seed, keys: KEYS, ...came }))
  expect([...looked]).toEqual(Object.keys(MARKER_PLANTS))
  // Not because nothing was done at all.
  for (const count of Object.values(came)) expect(count).toBeGreaterThan(100)
})

it('The canaries would tell of a reader, a writer and a remover', () => {
  forgetReaders()
  const before = outside()
  readFileSync(join(ground.base, 'canaries/secret'))
  expect(outside()).not.toEqual(before)
})

it('The same seed makes the same keys, and others make others', () => {
  const digest = (seed: number) =>
    createHash('sha256')
      .update(JSON.stringify(hostileKeys(ground, { seed, count: 500 })))
      .digest('hex')
  expect(digest(1)).toBe(digest(1))
  expect(digest(1)).not.toBe(digest(2))
  expect(new Set(hostileKeys(ground, { seed: 1, count: KEYS }).map(({ key }) => key)).size).toBeGreaterThan(KEYS / 4)
})
