import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Entry } from '../history.ts'
import { Seeded, seededBytes, sha256Of } from '../seeded.ts'
import { ifThere } from '../watcher.ts'
import { KINDS, spoil } from './spoil.ts'

const STORED = seededBytes('stored', 500)
let folder: string
let path: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'geo-chaos-spoil-'))
  path = join(folder, 'blob')
  await writeFile(path, STORED)
})

afterEach(() => rm(folder, { recursive: true }))

describe('a file that rots', () => {
  it.each(KINDS)('is noted as %s before a reader can see it', async (kind) => {
    const { mtimeMs } = await stat(path)
    const noted: Entry[] = []
    await spoil(path, kind, new Seeded(kind), (damage) => {
      noted.push(damage)
      expect(readFileSync(path).equals(STORED)).toBe(true)
    })
    const bytes = await ifThere(() => readFile(path))
    expect(bytes?.equals(STORED)).not.toBe(true)
    expect(noted).toEqual([{ kind: 'damaged', path, sha256: bytes && sha256Of(bytes) }])
    expect(await readdir(folder)).toEqual(bytes ? ['blob'] : [])
    if (bytes) expect((await stat(path)).mtimeMs).toBeCloseTo(mtimeMs, 0)
  })
})
