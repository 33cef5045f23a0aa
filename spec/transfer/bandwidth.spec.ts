import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { Bandwidth } from '../../lib/transfer/bandwidth.ts'
import type { ReceiveResult } from '../../lib/transfer/blob-order.ts'
import { encodeHeader, FRAMES_CONTENT_TYPE } from '../../lib/transfer/frame.ts'
import { TransferThreads } from '../../lib/transfer/threads.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { rangedAnswer } from '../support/ranged-answer.ts'
import { type StagedServer, stageServer } from '../support/staged-server.ts'
import { transferLine } from '../support/transfer-line.ts'
import { transferTask } from '../support/transfer-task.ts'
import { until } from '../support/until.ts'

const RATE = 2_000_000
const SECONDS = 4
/** Half of what may come in the time that is measured. */
const BYTES = (RATE * SECONDS) / 2

let databases: SpecDatabases
let primary: StagedServer
let processes: { threads: TransferThreads; bandwidth: Bandwidth }[]
let root: string
let statements: string[]

beforeAll(async () => {
  databases = await createSpecDatabases()
  databases.tracking.on('query', ({ sql }: { sql: string }) => statements.push(sql))
  primary = await stageServer()
  processes = [1, 2].map(() => ({
    threads: new TransferThreads(1),
    bandwidth: new Bandwidth(databases.tracking, systemClock),
  }))
})
afterAll(async () => {
  for (const { threads } of processes) await threads.close()
  await primary.close()
  await databases.destroy()
})
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'geo-bandwidth-'))
  statements = []
})
afterEach(() => rm(root, { recursive: true, force: true }))

function limit(bytesPerSecond: number | null): void {
  for (const { bandwidth } of processes) bandwidth.limit(bytesPerSecond)
}

function receive(position: number, how: 'one' | 'many' = 'one', signal?: AbortSignal): Promise<ReceiveResult> {
  const process = processes[position]
  if (!process) throw new Error('There are two processes')
  const id = randomUUID()
  const task = transferTask({
    url: primary.url,
    root,
    blobs: [{ id, key: id, expected: null }],
  })
  return process.threads.receive(how, task, { ...transferLine(signal), bandwidth: process.bandwidth })
}

async function databaseSeconds(): Promise<number> {
  const { rows } = await databases.tracking.raw('select extract(epoch from clock_timestamp())::float8 as now')
  return rows[0].now
}

const offering = (bytes: number) => rangedAnswer(() => ({ bytes: Buffer.alloc(bytes, 1), etag: '"x"' })).listener

describe('a bandwidth limit per site', () => {
  it('is shared by all its processes: together they stay within it', { timeout: 180_000 }, async () => {
    primary.answer(offering(BYTES))
    // The threads are up when the time begins.
    await Promise.all([receive(0), receive(1)])
    limit(RATE)
    const before = await databaseSeconds()
    const results = await Promise.all([receive(0), receive(1)])
    const seconds = (await databaseSeconds()) - before
    expect(results.map(({ outcomes }) => outcomes)).toMatchObject([[{ bytes: BYTES }], [{ bytes: BYTES }]])
    expect((2 * BYTES) / seconds).toBeLessThan(1.1 * RATE)
    // Nor much below it, though the machine may be busy with other specs.
    expect((2 * BYTES) / seconds).toBeGreaterThan(0.7 * RATE)
    // A grant is a quarter of a second's worth, so each process asks less often than that.
    expect(statements.length).toBeLessThan(4 * SECONDS + 6)
  })

  it('holds for small blobs as well', { timeout: 180_000 }, async () => {
    limit(RATE / 4)
    const body = Buffer.alloc(20_000, 1)
    primary.answer((request, response) => {
      let asked = ''
      request.setEncoding('utf8').on('data', (text: string) => {
        asked += text
      })
      request.on('end', () => {
        const id = JSON.parse(asked).ids[0]
        response.writeHead(200, { 'content-type': FRAMES_CONTENT_TYPE })
        const frame = encodeHeader({ frame: 'blob', id, bytes: body.length })
        response.end(Buffer.concat([frame, body, encodeHeader({ frame: 'end', count: 1 })]))
      })
    })
    const before = await databaseSeconds()
    let requests = 0
    const lanes = [0, 1, 0, 1].map(async (position) => {
      for (; requests < 50; requests += 1) await receive(position, 'many')
    })
    await Promise.all(lanes)
    const seconds = (await databaseSeconds()) - before
    expect((requests * body.length) / seconds).toBeLessThan(1.2 * (RATE / 4))
  })

  it('costs no statement while there is none', async () => {
    limit(null)
    primary.answer(offering(BYTES))
    await Promise.all([receive(0), receive(1)])
    expect(statements).toEqual([])
  })

  it('changes at run time, also for a transfer that waits', async () => {
    limit(1024)
    primary.answer(offering(BYTES))
    const receiving = receive(0)
    await until(() => statements.length > 0)
    const quick = performance.now()
    limit(100_000_000)
    expect((await receiving).outcomes).toMatchObject([{ outcome: 'received' }])
    expect(performance.now() - quick).toBeLessThan(5000)
  })

  it('does not keep a transfer from being cut', async () => {
    limit(1024)
    primary.answer(offering(BYTES))
    const cut = new AbortController()
    const receiving = receive(0, 'one', cut.signal)
    await until(() => statements.length > 0)
    cut.abort()
    expect(await receiving).toMatchObject({ outcomes: [], refusal: { code: 'LEASE_LOST' } })
    limit(null)
  })
})
