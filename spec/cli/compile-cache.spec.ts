import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const run = promisify(execFile)
const PROGRAM = fileURLToPath(new URL('../../lib/cli/geo.ts', import.meta.url))
const VERSION = /^\d+\.\d+\.\d+\n$/

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'geo-compile-cache-'))
  for (const name of ['caches', 'home', 'temporary']) await mkdir(join(folder, name))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function version(environment: Record<string, string>): Promise<string> {
  const { PATH = '' } = process.env
  const env = { PATH, TMPDIR: join(folder, 'temporary'), ...environment }
  const { stdout } = await run(process.execPath, [PROGRAM, '--version'], { env })
  return stdout
}

const kept = async (...parts: string[]): Promise<number> =>
  (await readdir(join(folder, ...parts), { recursive: true })).length

describe('What Node has compiled for a command', () => {
  it('is kept for the next one in the folder of the user for caches', async () => {
    expect(await version({ XDG_CACHE_HOME: join(folder, 'caches'), HOME: join(folder, 'home') })).toMatch(VERSION)
    expect(await readdir(join(folder, 'caches'))).toEqual(['express-geo-replication'])
    expect(await kept('caches')).toBeGreaterThan(50)
    expect(await kept('home')).toBe(0)
  })

  it('is kept in the home where none is named, and never where others may write', async () => {
    expect(await version({ XDG_CACHE_HOME: 'not/absolute', HOME: join(folder, 'home') })).toMatch(VERSION)
    expect(await readdir(join(folder, 'home', '.cache'))).toEqual(['express-geo-replication'])
    expect(await kept('temporary')).toBe(0)
  })

  it('is not kept where that is not wanted, or not possible', async () => {
    const XDG_CACHE_HOME = join(folder, 'caches')
    expect(await version({ XDG_CACHE_HOME, NODE_DISABLE_COMPILE_CACHE: '1' })).toMatch(VERSION)
    expect(await kept('caches')).toBe(0)
    await writeFile(join(folder, 'file'), '')
    expect(await version({ XDG_CACHE_HOME: join(folder, 'file') })).toMatch(VERSION)
    expect(await kept('temporary')).toBe(0)
  })
})
