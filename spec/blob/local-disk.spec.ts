import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BlobStore } from '../../lib/blob/blob-store.ts'
import { localDisk } from '../../lib/blob/local-disk.ts'
import { folderContents } from '../support/folder-contents.ts'
import { CANARY, MARKER_PLANTS } from '../support/hostile-keys.ts'

let folder: string
let root: string
let store: BlobStore

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'geo-local-disk-'))
  root = join(folder, 'root')
  await mkdir(root)
  store = localDisk({ root })
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function write(key: string, text = 'text'): Promise<void> {
  await mkdir(dirname(join(root, key)), { recursive: true })
  await writeFile(join(root, key), text)
}

async function paths(): Promise<string[]> {
  return (await folderContents(root)).map((entry) => entry.split(' ')[0] ?? '')
}

describe('the folder', () => {
  it('is an absolute path, whatever was given, and durable unless switched off', () => {
    expect(localDisk({ root: relative(process.cwd(), root) })).toMatchObject({ root, durable: true })
    expect(localDisk({ root: `${root}/`, durable: false })).toMatchObject({ root, durable: false })
  })

  it('need not be there yet', async () => {
    const absent = localDisk({ root: join(folder, 'absent') })
    expect(await absent.stat('a/b')).toBeNull()
    expect(await absent.remove('a/b')).toBe(false)
    expect(await absent.readMarker()).toBeNull()
  })

  it('may itself be a symbolic link', async () => {
    await symlink(root, join(folder, 'link'))
    await write('a/b')
    expect(await localDisk({ root: join(folder, 'link') }).stat('a/b')).toEqual({ bytes: 4 })
  })
})

describe('stat', () => {
  it('tells the size of a file and null where there is none', async () => {
    await write('a/b', '12345')
    await write('empty', '')
    expect(await store.stat('a/b')).toEqual({ bytes: 5 })
    expect(await store.stat('empty')).toEqual({ bytes: 0 })
    expect(await store.stat('a/c')).toBeNull()
    expect(await store.stat('a/b/c')).toBeNull()
  })

  it('fails for what is no file, and for keys that lead outside', async () => {
    await write('a/b')
    await symlink(join(root, 'a/b'), join(root, 'link'))
    await symlink(tmpdir(), join(root, 'planted'))
    await expect(store.stat('a')).rejects.toMatchObject({ code: 'NOT_A_FILE' })
    await expect(store.stat('link')).rejects.toMatchObject({ code: 'NOT_A_FILE' })
    await expect(store.stat('planted/x')).rejects.toMatchObject({ code: 'KEY_OUTSIDE_ROOT' })
    await expect(store.stat('../x')).rejects.toMatchObject({ code: 'INVALID_KEY' })
  })
})

describe('remove', () => {
  it('takes the file and the folders that it leaves empty, up to the first that is not', async () => {
    await write('a/b/c/d')
    await write('a/other')
    expect(await store.remove('a/b/c/d')).toBe(true)
    expect(await paths()).toEqual(['a/', 'a/other'])
  })

  it('never takes the root', async () => {
    await write('only/one')
    expect(await store.remove('only/one')).toBe(true)
    expect(await folderContents(folder)).toEqual(['root/'])
  })

  it('says no where there is no such file, and touches nothing else', async () => {
    await write('a/b')
    expect(await store.remove('a/c')).toBe(false)
    expect(await store.remove('x/y/z')).toBe(false)
    expect(await store.remove('a/b/c/d')).toBe(false)
    expect(await paths()).toEqual(['a/', 'a/b'])
  })

  it('says no to whoever comes second, and neither fails', async () => {
    await write('a/b/c')
    const answers = await Promise.all([store.remove('a/b/c'), store.remove('a/b/c'), store.remove('a/b/c')])
    expect(answers.sort()).toEqual([false, false, true])
    expect(await paths()).toEqual([])
  })

  it('refuses keys that lead outside', async () => {
    await mkdir(join(folder, 'outside'))
    await writeFile(join(folder, 'outside', 'x'), 'x')
    await symlink(join(folder, 'outside'), join(root, 'planted'))
    await expect(store.remove('planted/x')).rejects.toMatchObject({ code: 'KEY_OUTSIDE_ROOT' })
    await expect(store.remove('../outside/x')).rejects.toMatchObject({ code: 'INVALID_KEY' })
    expect(await folderContents(join(folder, 'outside'))).toHaveLength(1)
  })
})

describe('the marker', () => {
  it('is written once and read by everyone after', async () => {
    const absent = localDisk({ root: join(folder, 'new', 'root') })
    const marker = { site: 'tokyo', store: 'one' }
    expect(await absent.claimMarker(marker)).toEqual(marker)
    expect(await absent.claimMarker({ site: 'paris', store: 'two' })).toEqual(marker)
    expect(await absent.readMarker()).toEqual(marker)
    expect(await folderContents(absent.root)).toEqual([expect.stringMatching(/^\.geo-store\.json /)])
  })

  it('has one winner where several claim it at once, and all of them learn who', async () => {
    const claims = Array.from({ length: 8 }, (_, index) => store.claimMarker({ site: 'tokyo', store: `${index}` }))
    const answers = await Promise.all(claims)
    expect(new Set(answers.map((answer) => answer.store)).size).toBe(1)
    expect(await store.readMarker()).toEqual(answers[0])
    expect(await paths()).toEqual(['.geo-store.json'])
  })

  for (const text of ['', '{', 'null', '[]', '{"site":"tokyo"}', '{"site":1,"store":"x"}']) {
    it(`that reads ${JSON.stringify(text)} is nobody's, and stays as it is`, async () => {
      await writeFile(join(root, '.geo-store.json'), text)
      await expect(store.readMarker()).rejects.toMatchObject({ code: 'STORE_NOT_MOUNTED' })
      await expect(store.claimMarker({ site: 'tokyo', store: 'x' })).rejects.toMatchObject({
        code: 'STORE_NOT_MOUNTED',
      })
      expect(await paths()).toEqual(['.geo-store.json'])
    })
  }

  for (const [what, plantAt] of Object.entries(MARKER_PLANTS)) {
    it(`that is ${what} is nobody's, is not waited for and not shown`, async () => {
      const secret = join(folder, 'secret')
      await writeFile(secret, CANARY)
      plantAt(join(root, '.geo-store.json'), secret)
      for (const look of [() => store.readMarker(), () => store.claimMarker({ site: 'tokyo', store: 'x' })]) {
        const reason = await look().catch((thrown: unknown) => thrown)
        expect(reason).toMatchObject({ code: 'STORE_NOT_MOUNTED' })
        expect(inspect(reason, { depth: null })).not.toContain(CANARY.slice(0, 6))
      }
    })
  }

  it('cannot be claimed where the root is a file', async () => {
    await writeFile(join(folder, 'file'), '')
    const blocked = localDisk({ root: join(folder, 'file') })
    await expect(blocked.claimMarker({ site: 'a', store: 'b' })).rejects.toMatchObject({ code: 'STORAGE_ERROR' })
  })
})
