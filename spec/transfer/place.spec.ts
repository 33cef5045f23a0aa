import { renameSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { MARKER_NAME } from '../../lib/blob/store-marker.ts'
import type { ReceivedBlob } from '../../lib/transfer/blob-order.ts'
import { placeBlobs, syncFile, syncFolder } from '../../lib/transfer/place.ts'
import { MARKER_PLANTS, plantFifo } from '../support/hostile-keys.ts'

const HOW = { durable: true, names: 'free', algorithm: 'xxh64', storeId: 'mine' } as const
let folder: string
let root: string
let other: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'geo-place-'))
  root = join(folder, 'store')
  other = join(folder, 'other')
  for (const each of [root, other]) await mkdir(each)
  await writeFile(join(root, MARKER_NAME), JSON.stringify({ site: 'paris', store: 'mine' }))
})
afterEach(() => rm(folder, { recursive: true }))

async function received(key: string): Promise<ReceivedBlob> {
  const temporaryPath = join(root, `.geo-tmp-${key}`)
  await writeFile(temporaryPath, key)
  const file = { id: key, key, temporaryPath, notePath: null, bytes: key.length, folders: [root] }
  return { outcome: 'received', ...file, expected: null, stored: null }
}

/** Another disk is there from now on. */
function swap(): void {
  renameSync(root, join(folder, 'away'))
  renameSync(other, root)
}

it.each([
  ['between two blobs', 1],
  ['after the last', 2],
])('Names that were given before the volume went, %s, are told of, and the blobs have failed', async (_, position) => {
  const blobs = [await received('first'), await received('second')]
  const meanwhile = Object.assign([...blobs], {
    *[Symbol.iterator]() {
      for (const [at, blob] of blobs.entries()) {
        if (at === position) swap()
        yield blob
      }
      if (position === blobs.length) swap()
    },
  })
  const away = { outcome: 'failed', code: 'STORE_NOT_MOUNTED' }
  expect(await placeBlobs({ ...HOW, root, blobs: meanwhile })).toMatchObject([
    { ...away, named: true },
    { ...away, named: position === 2 },
  ])
  expect(await readdir(root), 'the other disk').toEqual([])
})

it('A name that was given on the volume is told as placed, and hashed', async () => {
  const placed = await placeBlobs({ ...HOW, root, blobs: [await received('first')] })
  expect(placed).toMatchObject([{ outcome: 'placed', digest: { algorithm: 'xxh64' } }])
  expect((await readdir(root)).sort()).toEqual([MARKER_NAME, 'first'])
})

it.each(Object.entries(MARKER_PLANTS))(
  'A store whose marker is %s is away, and nothing is waited for',
  async (_, plantAt) => {
    const secret = join(folder, 'secret')
    await writeFile(secret, JSON.stringify({ site: 'paris', store: 'mine' }))
    await unlink(join(root, MARKER_NAME))
    plantAt(join(root, MARKER_NAME), secret)
    const placed = await placeBlobs({ ...HOW, root, blobs: [await received('first')] })
    expect(placed).toMatchObject([{ outcome: 'failed', code: 'STORE_NOT_MOUNTED', named: false }])
  },
)

it('Nothing is waited for where a FIFO has taken the place of a part or of a folder that is to be synced', () => {
  const path = join(root, 'fifo')
  plantFifo(path)
  expect(() => syncFile(path)).toThrow(expect.objectContaining({ code: 'EINVAL' }))
  expect(() => syncFolder(path)).toThrow(expect.objectContaining({ code: 'ENOTDIR' }))
})
