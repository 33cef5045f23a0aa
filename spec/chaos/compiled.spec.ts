import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { compile, compiledIn } from './compiled.ts'
import { GEO_COMMAND } from './member.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'geo-chaos-compiled-'))
})

afterEach(() => rm(folder, { recursive: true, force: true }))

it('What members load is compiled before they begin, but for a few files', async () => {
  const files = async () => (await readdir(folder, { recursive: true })).length
  await compile(folder)
  const before = await files()
  expect(before).toBeGreaterThan(500)
  await promisify(execFile)(process.execPath, [GEO_COMMAND, '--version'], {
    env: { ...process.env, ...compiledIn(folder) },
  })
  expect((await files()) - before).toBeLessThan(10)
})
