import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ChecksumPool, type ChecksumResult } from '../../lib/verification/checksum.ts'

let pool: ChecksumPool
let root: string

beforeAll(async () => {
  pool = new ChecksumPool(2)
  root = await mkdtemp(join(tmpdir(), 'geo-checksum-'))
})
afterAll(async () => {
  await pool.close()
  await rm(root, { recursive: true, force: true })
})

function checksums(...keys: string[]): Promise<ChecksumResult[]> {
  return pool.checksumSome(keys.map((key) => ({ root, key, algorithms: ['xxh64'] })))
}

describe('the checksum threads', () => {
  it('hash what is stored, in the order asked for', async () => {
    await writeFile(join(root, 'empty'), '')
    await writeFile(join(root, 'abc'), 'abc')
    expect(await checksums('abc', 'empty', 'abc')).toEqual([
      { ok: true, digests: [{ algorithm: 'xxh64', hex: '44bc2cf5ad770999' }], bytes: 3 },
      { ok: true, digests: [{ algorithm: 'xxh64', hex: 'ef46db3751d8e999' }], bytes: 0 },
      { ok: true, digests: [{ algorithm: 'xxh64', hex: '44bc2cf5ad770999' }], bytes: 3 },
    ])
  })

  it('hash a file of many reads with the algorithm of its type', async () => {
    const bytes = randomBytes(1_000_001)
    await writeFile(join(root, 'large'), bytes)
    const hex = createHash('sha256').update(bytes).digest('hex')
    const result = await pool.checksumSome([{ root, key: 'large', algorithms: ['sha256'] }])
    expect(result).toEqual([{ ok: true, digests: [{ algorithm: 'sha256', hex }], bytes: 1_000_001 }])
  })

  it('hash a file with two algorithms in one read', async () => {
    await writeFile(join(root, 'abc'), 'abc')
    const hex = createHash('sha256').update('abc').digest('hex')
    const [result] = await pool.checksumSome([{ root, key: 'abc', algorithms: ['sha256', 'xxh64'] }])
    const digests = [
      { algorithm: 'sha256', hex },
      { algorithm: 'xxh64', hex: '44bc2cf5ad770999' },
    ]
    expect(result).toEqual({ ok: true, digests, bytes: 3 })
  })

  it('give back what they have after 256 MiB, and the rest when asked for it', async () => {
    await writeFile(join(root, 'huge'), '')
    await truncate(join(root, 'huge'), 256 * 1024 * 1024)
    expect(await checksums('abc', 'huge', 'abc')).toHaveLength(2)
    expect(await checksums('huge', 'abc')).toHaveLength(1)
  })

  it('share the large files of a batch, and leave small ones to one of them', async () => {
    await writeFile(join(root, 'abc'), 'abc')
    await writeFile(join(root, 'sparse'), '')
    await truncate(join(root, 'sparse'), 17 * 1024 * 1024)
    const fresh = new ChecksumPool(2)
    const task = (key: string) => ({ root, key, algorithms: ['xxh64' as const] })
    try {
      await fresh.checksumSome(Array.from({ length: 100 }, () => task('abc')))
      expect(fresh.load.threads).toBe(1)
      const keys = ['sparse', 'abc', 'sparse', 'missing', 'abc', 'sparse', 'sparse']
      const results = await fresh.checksumSome(keys.map(task))
      expect(results.map((result) => (result.ok ? result.bytes : result.code))).toEqual([
        17_825_792,
        3,
        17_825_792,
        'FILE_MISSING',
        3,
        17_825_792,
        17_825_792,
      ])
      expect(fresh.load.threads).toBe(2)
      const digests = results.map((result) => result.ok && result.digests[0]?.hex)
      expect(digests[1]).toBe('44bc2cf5ad770999')
      expect(new Set([digests[0], digests[2], digests[5], digests[6]]).size).toBe(1)
    } finally {
      await fresh.close()
    }
  })

  it('that are at something long keep no other batch waiting', async () => {
    await writeFile(join(root, 'long'), '')
    await truncate(join(root, 'long'), 512 * 1024 * 1024)
    await writeFile(join(root, 'short'), '')
    await truncate(join(root, 'short'), 16 * 1024 * 1024)
    // So that both threads are there.
    await checksums('short', 'short', 'short', 'short')
    const ended: string[] = []
    await Promise.all([
      checksums('long').then(() => ended.push('long')),
      checksums('short', 'short').then(() => ended.push('short')),
    ])
    expect(ended).toEqual(['short', 'long'])
  })

  it('keep apart what is asked of files of several roots and algorithms', async () => {
    const other = join(root, 'other')
    await mkdir(other, { recursive: true })
    await writeFile(join(root, 'abc'), 'abc')
    await writeFile(join(other, 'abc'), 'xyz')
    const sha256 = (text: string) => ({ algorithm: 'sha256', hex: createHash('sha256').update(text).digest('hex') })
    const results = await pool.checksumSome([
      { root, key: 'abc', algorithms: ['xxh64', 'sha256'] },
      { root, key: 'gone', algorithms: ['xxh64', 'sha256'] },
      { root: other, key: 'abc', algorithms: ['sha256'] },
      { root, key: 'abc', algorithms: ['sha256'] },
      { root, key: 'abc', algorithms: [] },
    ])
    const xxh64 = { algorithm: 'xxh64', hex: '44bc2cf5ad770999' }
    expect(results).toEqual([
      { ok: true, digests: [xxh64, sha256('abc')], bytes: 3 },
      expect.objectContaining({ ok: false, code: 'FILE_MISSING' }),
      { ok: true, digests: [sha256('xyz')], bytes: 3 },
      { ok: true, digests: [sha256('abc')], bytes: 3 },
      { ok: true, digests: [], bytes: 3 },
    ])
  })

  it('give each file that cannot be hashed a code of its own, and go on with the next', async () => {
    await writeFile(join(root, 'good'), 'abc')
    await mkdir(join(root, 'folder'))
    await symlink(join(root, 'good'), join(root, 'link'))
    await symlink(tmpdir(), join(root, 'planted'))
    const results = await checksums('missing', 'no/such', 'good/x', 'folder', 'link', 'planted/x', '../x', '', 'good')
    expect(results.map((result) => (result.ok ? 'ok' : result.code))).toEqual([
      'FILE_MISSING',
      'FILE_MISSING',
      'FILE_MISSING',
      'NOT_A_FILE',
      'KEY_OUTSIDE_ROOT',
      'KEY_OUTSIDE_ROOT',
      'INVALID_KEY',
      'INVALID_KEY',
      'ok',
    ])
    expect(results[0]).toMatchObject({ message: 'File is not checksummable - file does not exist at: missing' })
  })

  it('know files below a root that is a symbolic link itself, and those that lead outside of it', async () => {
    await mkdir(join(root, 'real/folder'), { recursive: true })
    await writeFile(join(root, 'real/folder/abc'), 'abc')
    await symlink(tmpdir(), join(root, 'real/out'))
    await symlink(join(root, 'real'), join(root, 'mounted'))
    const tasks = ['folder/abc', 'out/abc'].map((key) => ({ root: join(root, 'mounted'), key, algorithms: [] }))
    expect(await pool.checksumSome(tasks)).toMatchObject([{ ok: true }, { ok: false, code: 'KEY_OUTSIDE_ROOT' }])
  })

  it('do not wait for someone to write into a pipe', async () => {
    await promisify(execFile)('mkfifo', [join(root, 'pipe')])
    expect(await checksums('pipe')).toMatchObject([{ ok: false, code: 'NOT_A_FILE' }])
  })

  it('serve several batches at once', async () => {
    await writeFile(join(root, 'shared'), 'abc')
    const batches = await Promise.all(Array.from({ length: 20 }, () => checksums('shared', 'nothing')))
    for (const batch of batches) expect(batch.map(({ ok }) => ok)).toEqual([true, false])
  })
})
