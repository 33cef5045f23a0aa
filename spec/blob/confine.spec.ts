import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { confinedPath } from '../../lib/blob/confine.ts'

let root: string

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'geo-confine-'))
  await mkdir(join(root, 'a/b/c'), { recursive: true })
})
afterEach(() => rm(root, { recursive: true, force: true }))

const OUTSIDE = expect.objectContaining({ code: 'KEY_OUTSIDE_ROOT' })

describe('the path of a key', () => {
  it('lies below the root, whether its folders are there or not', () => {
    for (const key of ['file', 'a/file', 'a/b/c/file', 'no/such/file', 'a/no/file']) {
      expect(confinedPath(root, key)).toBe(join(root, key))
      expect(confinedPath(`${root}/`, key)).toBe(join(root, key))
    }
  })

  it('leads through no symbolic link, at whatever depth it lies and wherever it leads', async () => {
    await symlink(tmpdir(), join(root, 'first'))
    await symlink(tmpdir(), join(root, 'a/second'))
    await symlink(join(root, 'a/b'), join(root, 'a/inside'))
    await symlink(join(root, 'nowhere'), join(root, 'a/b/dangling'))
    for (const key of [
      'first/x',
      'first/x/y',
      'a/second/x',
      'a/second/x/y',
      'a/inside/c',
      'a/inside/c/x',
      'a/b/dangling/x',
    ]) {
      expect(() => confinedPath(root, key), key).toThrow(OUTSIDE)
    }
  })

  it('may begin at a root that is a symbolic link itself', async () => {
    await symlink(join(root, 'a'), join(root, 'mounted'))
    expect(confinedPath(join(root, 'mounted'), 'b/file')).toBe(join(root, 'mounted/b/file'))
    await symlink(tmpdir(), join(root, 'a/out'))
    expect(() => confinedPath(join(root, 'mounted'), 'out/file')).toThrow(OUTSIDE)
  })

  it('is refused from the moment on at which a folder of it was swapped for a link', async () => {
    expect(confinedPath(root, 'a/b/1')).toBe(join(root, 'a/b/1'))
    await rename(join(root, 'a'), join(root, 'away'))
    await symlink(join(root, 'away'), join(root, 'a'))
    expect(() => confinedPath(root, 'a/b/2')).toThrow(OUTSIDE)
  })

  it('leaves it to who opens it that a folder of it is a file', async () => {
    await writeFile(join(root, 'file'), '')
    expect(confinedPath(root, 'file/x')).toBe(join(root, 'file/x'))
    expect(() => confinedPath(root, 'file/x/y')).toThrow(expect.objectContaining({ code: 'ENOTDIR' }))
  })
})
