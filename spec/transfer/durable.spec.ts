import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { MessageChannel } from 'node:worker_threads'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { placeBlobs } from '../../lib/transfer/place.ts'
import { receiveOne } from '../../lib/transfer/receive-one.ts'
import { type StagedServer, stageServer } from '../support/staged-server.ts'

/** What is done to files here, in its order, by paths below the root; temporary names are `part`. */
let done: string[]
let root: string
let primary: StagedServer
const real = { openSync: fs.openSync, fsyncSync: fs.fsyncSync, renameSync: fs.renameSync }

beforeAll(async () => {
  primary = await stageServer()
  primary.answer((_request, response) => {
    response.writeHead(200, { 'geo-blob-bytes': '3', 'content-length': '3' }).end('abc')
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
    renameSync(from: fs.PathLike, to: fs.PathLike) {
      done.push(`rename ${shown(from)} to ${shown(to)}`)
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

/** As a thread does it: receives one blob and gives it its name. */
async function fetchAndPlace(durable: boolean) {
  const { port1: port, port2: main } = new MessageChannel()
  main.on('message', () => main.postMessage({ say: 'authorization', authorization: 'GL-Geo x:y' }))
  const endsAt = new BigInt64Array(new SharedArrayBuffer(8)).fill(process.hrtime.bigint() + 3_600_000_000_000n)
  const rate = new Float64Array(new SharedArrayBuffer(8))
  const blobs = [{ id: '1', key: 'a/b', expected: null }]
  const task = { url: primary.url, replicableName: 'widget', idleTimeoutMs: 1000, root, durable, blobs }
  const { outcomes } = await receiveOne({ ...task, authorization: 'GL-Geo x:y', line: { port, endsAt, rate } })
  main.close()
  return placeBlobs({ root, durable, blobs: outcomes.flatMap((one) => (one.outcome === 'received' ? [one] : [])) })
}

it('The bytes are on the disk before they get their name, and the name before anybody is told', async () => {
  expect(await fetchAndPlace(true)).toEqual([null])
  const named = done.findIndex((step) => step.endsWith('to a/b'))
  expect(done.slice(0, named)).toContain('sync a/part')
  // The folder is new: so is its own entry.
  expect(done.slice(named + 1).sort()).toEqual(['sync .', 'sync a'])
  expect(fs.readFileSync(join(root, 'a/b'), 'utf8')).toBe('abc')
})

it('A store that need not be durable waits for no disk', async () => {
  expect(await fetchAndPlace(false)).toEqual([null])
  expect(done.filter((step) => step.startsWith('sync'))).toEqual([])
})
