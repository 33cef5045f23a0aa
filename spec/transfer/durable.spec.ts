import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { MessageChannel } from 'node:worker_threads'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { encodeHeader, FRAMES_CONTENT_TYPE } from '../../lib/transfer/frame.ts'
import { placeBlobs } from '../../lib/transfer/place.ts'
import { receiveMany } from '../../lib/transfer/receive-many.ts'
import { receiveOne } from '../../lib/transfer/receive-one.ts'
import { type StagedServer, stageServer } from '../support/staged-server.ts'
import { transferTask } from '../support/transfer-task.ts'

/** What is done to files here, in its order, by paths below the root; temporary names are `part`. */
let done: string[]
let root: string
let primary: StagedServer
const real = { openSync: fs.openSync, fsyncSync: fs.fsyncSync, linkSync: fs.linkSync, renameSync: fs.renameSync }

beforeAll(async () => {
  primary = await stageServer()
  primary.answer(({ method }, response) => {
    if (method === 'GET') return response.writeHead(200, { 'geo-blob-bytes': '3', 'content-length': '3' }).end('abc')
    const blob = encodeHeader({ frame: 'blob', id: '1', bytes: 3 })
    const end = encodeHeader({ frame: 'end', count: 1 })
    response.writeHead(200, { 'content-type': FRAMES_CONTENT_TYPE })
    response.end(Buffer.concat([blob, Buffer.from('abc'), end]))
  })
})
afterAll(() => primary?.close())

beforeEach(() => {
  root = fs.mkdtempSync(join(tmpdir(), 'geo-durable-'))
  done = []
  const open = new Map<number, string>()
  const shown = (path: unknown) => relative(root, String(path)).replace(/\.geo-[^/]*$/, 'part') || '.'
  Object.assign(fs, {
    openSync(...given: Parameters<typeof fs.openSync>) {
      const handle = real.openSync(...given)
      open.set(handle, shown(given[0]))
      return handle
    },
    fsyncSync(handle: number) {
      done.push(`sync ${open.get(handle)}`)
      real.fsyncSync(handle)
    },
    linkSync(from: fs.PathLike, to: fs.PathLike) {
      done.push(`name ${shown(from)} ${shown(to)}`)
      real.linkSync(from, to)
    },
    renameSync(from: fs.PathLike, to: fs.PathLike) {
      done.push(`name ${shown(from)} ${shown(to)}`)
      real.renameSync(from, to)
    },
  })
  syncBuiltinESMExports()
})
afterEach(() => {
  Object.assign(fs, real)
  syncBuiltinESMExports()
  fs.rmSync(root, { recursive: true, force: true })
})

const PLACED = { outcome: 'placed', digest: { algorithm: 'xxh64', hex: '44bc2cf5ad770999' } }

/** As a thread does it: receives a blob, by itself or with others, and gives it its name. */
async function fetchAndPlace(how: 'one' | 'many', names: 'free' | 'any', durable: boolean) {
  const { port1: port, port2: main } = new MessageChannel()
  main.on('message', () => main.postMessage({ say: 'authorization', authorization: 'GL-Geo x:y' }))
  const endsAt = new BigInt64Array(new SharedArrayBuffer(8)).fill(process.hrtime.bigint() + 3_600_000_000_000n)
  const rate = new Float64Array(new SharedArrayBuffer(8))
  const blobs = [{ id: '1', key: 'a/b', expected: null }]
  const task = transferTask({
    url: primary.url,
    idleTimeoutMs: 1000,
    root,
    durable,
    blobs,
  })
  const receive = how === 'one' ? receiveOne : receiveMany
  const { outcomes } = await receive({ ...task, authorization: 'GL-Geo x:y', line: { port, endsAt, rate } })
  main.close()
  const received = outcomes.flatMap((one) => (one.outcome === 'received' ? [one] : []))
  return placeBlobs({ root, durable, names, algorithm: 'xxh64', blobs: received })
}

it.each([
  ['one', 'free'],
  ['one', 'any'],
  ['many', 'free'],
  ['many', 'any'],
] as const)(
  'The bytes are on the disk before they get their name, and the name before anybody is told: %s, %s',
  async (how, names) => {
    expect(await fetchAndPlace(how, names, true)).toEqual([PLACED])
    const named = done.indexOf('name a/part a/b')
    expect(done.slice(0, named)).toContain('sync a/part')
    // The folder is new: so is its own entry.
    expect(done.slice(named + 1).sort()).toEqual(['sync .', 'sync a'])
    expect(fs.readFileSync(join(root, 'a/b'), 'utf8')).toBe('abc')
  },
)

it.each(['one', 'many'] as const)('A store that need not be durable waits for no disk: %s', async (how) => {
  expect(await fetchAndPlace(how, 'free', false)).toEqual([PLACED])
  expect(done.filter((step) => step.startsWith('sync'))).toEqual([])
})
