import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Digest } from '../../lib/blob/digest.ts'
import type { ReceiveResult, WantedBlob } from '../../lib/transfer/blob-order.ts'
import { isUnfinished } from '../../lib/transfer/part.ts'
import { TransferThreads } from '../../lib/transfer/threads.ts'
import { rangedAnswer, sendThenBreak } from '../support/ranged-answer.ts'
import { type StagedServer, stageServer } from '../support/staged-server.ts'
import { transferLine } from '../support/transfer-line.ts'
import { transferTask } from '../support/transfer-task.ts'
import { until } from '../support/until.ts'

const BYTES = randomBytes(400_000)
const ETAG = '"first"'
const blob = { bytes: BYTES, etag: ETAG }
const sha256 = (bytes: Buffer): Digest => ({
  algorithm: 'sha256',
  hex: createHash('sha256').update(bytes).digest('hex'),
})

let threads: TransferThreads
/** As it were of another process of the site. */
let others: TransferThreads
let primary: StagedServer
let root: string

beforeAll(async () => {
  threads = new TransferThreads(1)
  others = new TransferThreads(1)
  primary = await stageServer()
})
afterAll(async () => {
  await Promise.all([threads.close(), others.close()])
  await primary.close()
})
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'geo-resume-'))
})
afterEach(() => rm(root, { recursive: true, force: true }))

const wanted: WantedBlob = { id: '1', key: 'large', expected: sha256(BYTES) }

function receive({
  line = transferLine(),
  by = threads,
  url = primary.url,
  blob = wanted,
} = {}): Promise<ReceiveResult> {
  const task = transferTask({
    url,
    idleTimeoutMs: 2000,
    root,
    durable: true,
    blobs: [blob],
  })
  return by.receive('one', task, line)
}

async function place({ outcomes }: ReceiveResult): Promise<unknown> {
  return threads.place({
    root,
    durable: true,
    names: 'free',
    algorithm: 'xxh64',
    blobs: outcomes.flatMap((outcome) => (outcome.outcome === 'received' ? [outcome] : [])),
  })
}

const parts = async () => (await readdir(root)).filter((name) => /^\.geo-part-\w+-\w+$/.test(name))
async function partBytes(): Promise<number> {
  const [name] = await parts()
  return name === undefined ? 0 : (await stat(join(root, name))).size
}

/** Leaves a part of so many bytes, cut from this side. */
async function leavePart(bytes: number, by = threads): Promise<void> {
  const cut = new AbortController()
  const { listener } = rangedAnswer(
    () => blob,
    (response, rest) => void response.write(rest.subarray(0, bytes)),
  )
  primary.answer(listener)
  const receiving = receive({ line: transferLine(cut.signal), by })
  await until(async () => (await partBytes()) === bytes)
  cut.abort()
  expect(await receiving).toMatchObject({ outcomes: [], refusal: { kind: 'pause', code: 'LEASE_LOST' } })
}

async function expectWhole(result: ReceiveResult, bytes = BYTES): Promise<void> {
  expect(result).toMatchObject({ outcomes: [{ outcome: 'received', bytes: bytes.length }], refusal: null })
  expect(await place(result)).toEqual([expect.objectContaining({ outcome: 'placed' })])
  expect(bytes.equals(await readFile(join(root, 'large')))).toBe(true)
  expect(await readdir(root)).toEqual(['large'])
}

describe('a cut connection resumes with Range and If-Range', () => {
  it('at once where it stopped, and no byte comes twice', async () => {
    let sent = 0
    const { listener, asked } = rangedAnswer(
      () => blob,
      (response, rest) => {
        if (asked.length > 4) return void response.end(rest)
        sent += 70_000
        sendThenBreak(response, rest, 70_000)
      },
    )
    primary.answer(listener)
    await expectWhole(await receive())
    expect(asked.map(({ start, ifRange }) => [start, ifRange])).toEqual(
      [0, 70_000, 140_000, 210_000, 280_000].map((start) => [start, start === 0 ? undefined : ETAG]),
    )
    expect(sent).toBe(280_000)
  })

  it('with a new token each time, for one lives a minute only', async () => {
    const tokens = ['GL-Geo x:1', 'GL-Geo x:2', 'GL-Geo x:3']
    const left = [...tokens]
    const line = { ...transferLine(), authorization: async () => left.shift() ?? 'none' }
    const { listener, asked } = rangedAnswer(
      () => blob,
      (response, rest) => (asked.length > 2 ? void response.end(rest) : sendThenBreak(response, rest, 1000)),
    )
    primary.answer(listener)
    await expectWhole(await receive({ line }))
    expect(asked.map(({ authorization }) => authorization)).toEqual(tokens)
  })

  it('from a kept part file that another process has left, whose bytes are hashed again', async () => {
    await leavePart(150_000, others)
    const { listener, asked } = rangedAnswer(() => blob)
    primary.answer(listener)
    await expectWhole(await receive())
    // One byte comes again, so that a part that is whole already is answered like any other.
    expect(asked).toMatchObject([{ range: 'bytes=149999-', ifRange: ETAG }])
  })

  it('also from a part that lacks nothing any more', async () => {
    const { listener, asked } = rangedAnswer(() => blob)
    primary.answer(listener)
    expect((await receive()).outcomes).toMatchObject([{ outcome: 'received' }])
    // Its process is killed before it could give the file its name.
    await expectWhole(await receive({ by: others }))
    expect(asked).toMatchObject([{ range: undefined }, { range: 'bytes=399999-' }])
  })

  it('and finds a part out that was spoiled meanwhile', async () => {
    await leavePart(150_000)
    const [name = ''] = await parts()
    const spoiled = await readFile(join(root, name))
    spoiled[77] = (spoiled[77] ?? 0) ^ 1
    await writeFile(join(root, name), spoiled)
    primary.answer(rangedAnswer(() => blob).listener)
    expect((await receive()).outcomes).toMatchObject([{ outcome: 'failed', code: 'CHECKSUM_MISMATCH' }])
    expect(await readdir(root)).toEqual([])
  })

  it('never with another version: that one comes whole, and the stale part goes', async () => {
    await leavePart(150_000)
    const later = randomBytes(300_000)
    const { listener, asked } = rangedAnswer(() => ({ bytes: later, etag: '"second"' }))
    primary.answer(listener)
    await expectWhole(await receive({ blob: { ...wanted, expected: sha256(later) } }), later)
    expect(asked).toHaveLength(1)
  })

  it('never with the part of another record or key', async () => {
    await leavePart(150_000)
    const { listener, asked } = rangedAnswer(() => blob)
    primary.answer(listener)
    for (const other of [
      { ...wanted, id: '2' },
      { ...wanted, key: 'other' },
    ]) {
      expect((await receive({ blob: other })).outcomes).toMatchObject([{ outcome: 'received' }])
    }
    expect(asked.map(({ start }) => start)).toEqual([0, 0])
  })

  it('from the first byte where the other side answers with a part that was not asked for', async () => {
    for (const answer of [
      { status: 206, headers: { etag: '"second"', 'content-range': 'bytes 149999-299999/300000' } },
      { status: 206, headers: { etag: ETAG, 'content-range': 'bytes 0-399999/400000' } },
      { status: 416, headers: { 'content-range': 'bytes */400000' } },
    ]) {
      await leavePart(150_000)
      const { listener, asked } = rangedAnswer(() => blob)
      let first = true
      primary.answer((request, response) => {
        if (!first) return listener(request, response)
        first = false
        response.writeHead(answer.status, answer.headers).end('anything')
      })
      await expectWhole(await receive())
      expect(asked).toMatchObject([{ start: 0, range: undefined }])
      await rm(join(root, 'large'))
    }
  })
})

describe('a cut that brought nothing', () => {
  const breakAfter = (bytes: number) =>
    rangedAnswer(
      () => blob,
      (response, rest) => sendThenBreak(response, rest, bytes),
    )

  it('is a failure of the blob after three in a row, and what is there of it stays', async () => {
    await leavePart(150_000)
    const { listener, asked } = breakAfter(0)
    primary.answer(listener)
    const { outcomes, refusal } = await receive()
    expect(outcomes).toMatchObject([{ outcome: 'failed', id: '1', code: 'BODY_TRUNCATED' }])
    expect(refusal).toBeNull()
    expect(asked).toHaveLength(3)
    expect(await partBytes()).toBe(150_000)
  })

  it('is none once one of them brings the blob further', async () => {
    const { listener, asked } = rangedAnswer(
      () => blob,
      (response, rest) => sendThenBreak(response, rest, asked.length % 3 === 0 ? 50_000 : 0),
    )
    primary.answer(listener)
    await expectWhole(await receive())
    expect(asked).toHaveLength(24)
  })

  it('is one where each connection brings another version', async () => {
    const { listener, asked } = rangedAnswer(
      () => ({ bytes: BYTES, etag: `"${asked.length}"` }),
      (response, rest) => sendThenBreak(response, rest, 1000),
    )
    primary.answer(listener)
    expect((await receive()).outcomes).toMatchObject([{ outcome: 'failed', code: 'BODY_TRUNCATED' }])
    expect(asked).toHaveLength(4)
  })

  it('is a pause where nobody can be reached any more, and the part stays', async () => {
    const gone = await stageServer()
    const { listener } = rangedAnswer(
      () => blob,
      (response, rest) => {
        response.write(rest.subarray(0, 150_000))
        void until(async () => (await partBytes()) === 150_000).then(() => gone.close())
      },
    )
    gone.answer(listener)
    const { outcomes, refusal } = await receive({ url: gone.url })
    expect(outcomes).toEqual([])
    expect(refusal).toMatchObject({ kind: 'pause', code: 'PRIMARY_UNREACHABLE' })
    expect(await partBytes()).toBe(150_000)
  })

  it('leaves nothing behind where the version has no strong name', async () => {
    const { listener, asked } = rangedAnswer(
      () => ({ bytes: BYTES, etag: 'W/"weak"' }),
      (response, rest) => sendThenBreak(response, rest, 1000),
    )
    primary.answer(listener)
    expect((await receive()).outcomes).toMatchObject([{ outcome: 'failed', code: 'BODY_TRUNCATED' }])
    expect(asked).toHaveLength(1)
    expect(await readdir(root)).toEqual([])
  })
})

describe('a process that was stopped for longer than its lease', () => {
  it('writes nothing more into the part that another has gone on with and placed', async () => {
    const line = transferLine()
    let goOn = (): void => undefined
    const foreign = Buffer.alloc(BYTES.length)
    const staged = rangedAnswer(
      () => blob,
      (response) => {
        response.write(BYTES.subarray(0, 100_000))
        goOn = () => void response.end(foreign.subarray(100_000))
      },
    )
    primary.answer(staged.listener)
    const stopped = receive({ line })
    await until(async () => (await partBytes()) === 100_000)
    // As after SIGCONT: the lease has ended, and no timer has said so yet.
    line.lease.endsAt[0] = process.hrtime.bigint()

    primary.answer(rangedAnswer(() => blob).listener)
    await expectWhole(await receive({ by: others }))
    goOn()
    const late = await stopped
    expect(late.outcomes).toEqual([])
    await threads.discard(late.outcomes.flatMap((outcome) => (outcome.outcome === 'received' ? [outcome] : [])))
    expect(BYTES.equals(await readFile(join(root, 'large')))).toBe(true)
  })
})

describe('a transfer that is over', () => {
  it('touches no part that another process has begun meanwhile', async () => {
    const line = transferLine()
    let goOn = (): void => undefined
    primary.answer((request, response) => {
      goOn = () => rangedAnswer(() => blob).listener(request, response)
    })
    const stopped = receive({ line })
    const noted = goOn
    await until(() => goOn !== noted)
    line.lease.endsAt[0] = 0n
    const answerLate = goOn
    const later = { bytes: BYTES, etag: '"later"' }
    primary.answer(
      rangedAnswer(
        () => later,
        (response, rest) => void response.write(rest.subarray(0, 100_000)),
      ).listener,
    )
    const cut = new AbortController()
    const other = receive({ line: transferLine(cut.signal), by: others })
    await until(async () => (await partBytes()) === 100_000)
    cut.abort()
    await other
    const before = await readdir(root)
    answerLate()
    expect(await stopped).toMatchObject({ outcomes: [], refusal: { code: 'LEASE_LOST' } })
    expect(await readdir(root)).toEqual(before)
  })

  it('ends also where the main thread cannot sign any more', async () => {
    let signed = 0
    const authorization = async () => {
      signed += 1
      if (signed > 1) throw new Error('The secret is gone')
      return 'GL-Geo x:y'
    }
    const { listener } = rangedAnswer(
      () => blob,
      (response, rest) => sendThenBreak(response, rest, 1000),
    )
    primary.answer(listener)
    const ended = await receive({ line: { ...transferLine(), authorization } })
    expect(ended).toMatchObject({ outcomes: [], refusal: { kind: 'pause', code: 'LEASE_LOST' } })
    expect(await partBytes()).toBe(1000)
  })
})

it('Files on their way are told from those of the host by their names', async () => {
  await leavePart(1000)
  const names = await readdir(root)
  expect(names).toHaveLength(2)
  expect(names.every(isUnfinished)).toBe(true)
  expect(['.geo-tmp-x', '.geo-store.json', 'large'].map(isUnfinished)).toEqual([true, false, false])
})
