import { mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { PartFiles } from '../../lib/transfer/part.ts'
import { plantFifo } from '../support/hostile-keys.ts'

const ETAG = '"of-the-primary"'
let folder: string
let parts: PartFiles

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'geo-part-'))
  parts = new PartFiles(folder, 'widget', { id: '1', key: 'a' })
})
afterEach(() => rm(folder, { recursive: true }))

it('A note says which version the part is of, as long as the part has a byte', () => {
  parts.note(ETAG)
  expect(parts.find()).toBeNull()
  writeFileSync(parts.pathOf(ETAG), 'a')
  expect(parts.find()).toBe(ETAG)
})

it('A note that is longer than any ETag is none, is not read, and gives way to the next', () => {
  writeFileSync(parts.notePath, ETAG)
  truncateSync(parts.notePath, 2 ** 40)
  writeFileSync(parts.pathOf(ETAG), 'a')
  expect(parts.find()).toBeNull()
  parts.note(ETAG)
  expect(readFileSync(parts.notePath, 'utf8')).toBe(ETAG)
})

it.each([
  ['a FIFO', () => plantFifo(parts.notePath)],
  ['a link', () => symlinkSync(join(folder, 'another'), parts.notePath)],
  ['a folder', () => mkdirSync(parts.notePath)],
])('What is no regular file is no note: %s', (_, plant) => {
  writeFileSync(join(folder, 'another'), ETAG)
  writeFileSync(parts.pathOf(ETAG), 'a')
  plant()
  expect(parts.find()).toBeNull()
})
