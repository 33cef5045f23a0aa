import { randomBytes } from 'node:crypto'
import { link, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import type { RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Digest } from '../../lib/blob/digest.ts'
import { loadHashing } from '../../lib/blob/hasher.ts'
import type { ReceiveResult, WantedBlob } from '../../lib/transfer/blob-order.ts'
import { TransferThreads } from '../../lib/transfer/threads.ts'
import { folderContents } from '../support/folder-contents.ts'
import { type StagedServer, stageServer } from '../support/staged-server.ts'
import { transferLine } from '../support/transfer-line.ts'
import { transferTask } from '../support/transfer-task.ts'
import { until } from '../support/until.ts'

const XXH64_OF_ABC = '44bc2cf5ad770999'
const SHA256_OF_ABC = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
/** Long enough to be quiet in every case but the one about silence, short enough for that one. */
const IDLE_TIMEOUT_MS = 1000
const PLACED = expect.objectContaining({ outcome: 'placed' })
const placedAs = (digest: Digest | null) => ({ outcome: 'placed', digest })

let threads: TransferThreads
let primary: StagedServer
let root: string

beforeAll(async () => {
  threads = new TransferThreads(1)
  primary = await stageServer()
})
afterAll(async () => {
  await threads.close()
  await primary.close()
})
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'geo-receive-'))
})
afterEach(() => rm(root, { recursive: true, force: true }))

const wanted = (blob: Partial<WantedBlob> = {}): WantedBlob => ({ id: '1', key: 'a/b', expected: null, ...blob })

function receive(
  blob: WantedBlob,
  listener: RequestListener | null,
  { url = primary.url, signal = new AbortController().signal } = {},
): Promise<ReceiveResult> {
  if (listener) primary.answer(listener)
  const task = transferTask({
    url,
    idleTimeoutMs: IDLE_TIMEOUT_MS,
    root,
    durable: true,
    blobs: [blob],
  })
  return threads.receive('one', task, transferLine(signal))
}

const whole =
  (bytes: string | Buffer): RequestListener =>
  (_request, response) => {
    const length = String(Buffer.byteLength(bytes))
    response.writeHead(200, { 'geo-blob-bytes': length, 'content-length': length }).end(bytes)
  }

/** Sends what is given and then breaks the connection. */
const cutAfter =
  (announced: number, bytes: Buffer): RequestListener =>
  (_request, response) => {
    response.writeHead(200, { 'geo-blob-bytes': String(announced), 'content-length': String(announced) })
    response.write(bytes, () => response.destroy())
  }

async function place(result: ReceiveResult, names: 'free' | 'any' = 'any'): Promise<unknown> {
  const blobs = result.outcomes.flatMap((outcome) => (outcome.outcome === 'received' ? [outcome] : []))
  return threads.place({ root, durable: true, blobs, names, algorithm: 'xxh64' })
}

async function files(): Promise<string[]> {
  return (await folderContents(root)).filter((entry) => !entry.endsWith('/'))
}

describe('a whole blob', () => {
  it('lies under a temporary name until it is placed, then under its own', async () => {
    const bytes = randomBytes(700_000)
    const result = await receive(wanted({ key: 'deep/er/blob' }), whole(bytes))
    expect(result).toMatchObject({ outcomes: [{ outcome: 'received', id: '1', bytes: 700_000 }], refusal: null })
    expect(await files()).toEqual([expect.stringMatching(/^deep\/er\/\.geo-tmp-/)])
    expect(await place(result)).toEqual([PLACED])
    expect((await files()).map((entry) => entry.split(' ')[0])).toEqual(['deep/er/blob'])
    expect(bytes.equals(await readFile(join(root, 'deep/er/blob')))).toBe(true)
  })

  it('may be empty', async () => {
    const result = await receive(wanted({ expected: { algorithm: 'xxh64', hex: 'ef46db3751d8e999' } }), whole(''))
    expect(await place(result)).toEqual([PLACED])
    expect((await readFile(join(root, 'a/b'))).length).toBe(0)
  })

  it('has the checksum that the primary recorded, whichever algorithm that was', async () => {
    for (const expected of [
      { algorithm: 'xxh64', hex: XXH64_OF_ABC },
      { algorithm: 'sha256', hex: SHA256_OF_ABC },
    ] as const) {
      const result = await receive(wanted({ expected }), whole('abc'))
      expect(result.outcomes).toMatchObject([{ outcome: 'received', bytes: 3 }])
    }
  })

  it('takes the place of an earlier file in one step, and never that of a folder', async () => {
    await mkdir(join(root, 'a', 'folder'), { recursive: true })
    await writeFile(join(root, 'a', 'b'), 'earlier')
    expect(await place(await receive(wanted(), whole('later')))).toEqual([PLACED])
    expect(await readFile(join(root, 'a', 'b'), 'utf8')).toBe('later')
    const blocked = await receive(wanted({ key: 'a/folder' }), whole('x'))
    expect(blocked.outcomes).toMatchObject([{ outcome: 'failed', code: 'NOT_A_FILE' }])
    const late = await receive(wanted({ key: 'a/late' }), whole('x'))
    await mkdir(join(root, 'a', 'late'))
    expect(await place(late)).toEqual([expect.objectContaining({ outcome: 'failed', code: 'NOT_A_FILE' })])
    expect((await files()).map((entry) => entry.split(' ')[0])).toEqual(['a/b'])
  })

  it('gets a name that is free, and waits where something has it', async () => {
    const expected = { algorithm: 'xxh64', hex: XXH64_OF_ABC } as const
    expect(await place(await receive(wanted({ expected }), whole('abc')), 'free')).toEqual([placedAs(expected)])
    expect((await files()).map((entry) => entry.split(' ')[0])).toEqual(['a/b'])
    const second = await receive(wanted(), whole('later'))
    expect(await place(second, 'free')).toEqual([{ outcome: 'occupied' }])
    expect(await readFile(join(root, 'a/b'), 'utf8')).toBe('abc')
    expect(await place(second)).toEqual([PLACED])
    expect(await readFile(join(root, 'a/b'), 'utf8')).toBe('later')
    await symlink('b', join(root, 'a/link'))
    expect(await place(await receive(wanted({ key: 'a/link' }), whole('x')), 'free')).toEqual([{ outcome: 'occupied' }])
  })

  it('is hashed with what is given where nothing is known of it', async () => {
    const digest = { algorithm: 'xxh64', hex: XXH64_OF_ABC } as const
    expect(await place(await receive(wanted(), whole('abc')))).toEqual([placedAs(digest)])
    const large = randomBytes(300_000)
    const hex = (await loadHashing()).digestHexOf('xxh64', large)
    expect(await place(await receive(wanted(), whole(large)))).toEqual([placedAs({ algorithm: 'xxh64', hex })])
  })

  it('is hashed as it is stored, not as it came', async () => {
    const expected = { algorithm: 'xxh64', hex: XXH64_OF_ABC } as const
    const result = await receive(wanted({ expected }), whole('abc'))
    const [outcome] = result.outcomes
    if (outcome?.outcome !== 'received') throw new Error('Nothing came')
    await writeFile(outcome.temporaryPath, 'abd')
    const stored = { algorithm: 'xxh64', hex: (await loadHashing()).digestHexOf('xxh64', Buffer.from('abd')) } as const
    expect(await place(result, 'free')).toEqual([placedAs(stored)])
  })

  it('is hashed with what is expected of it, whatever its size', async () => {
    for (const bytes of [256 * 1024, 256 * 1024 + 1]) {
      const body = Buffer.alloc(bytes, 'x')
      const expected = { algorithm: 'sha256', hex: (await loadHashing()).digestHexOf('sha256', body) } as const
      expect(await place(await receive(wanted({ expected }), whole(body)))).toEqual([placedAs(expected)])
    }
  })

  it('is left to others to hash where it is not small and has changed since it was written', async () => {
    const changed = await receive(wanted(), whole(randomBytes(700_000)))
    const [outcome] = changed.outcomes
    if (outcome?.outcome !== 'received') throw new Error('Nothing came')
    await writeFile(outcome.temporaryPath, randomBytes(700_000))
    expect(await place(changed)).toEqual([placedAs(null)])
  })

  it('keeps its name where an earlier process came no further than giving it', async () => {
    const result = await receive(wanted(), whole('abc'))
    const [outcome] = result.outcomes
    if (outcome?.outcome !== 'received') throw new Error('Nothing came')
    await link(outcome.temporaryPath, join(root, 'a/b'))
    expect(await place(result, 'free')).toEqual([{ outcome: 'occupied' }])
    expect(await place(result)).toEqual([PLACED])
    expect((await files()).map((entry) => entry.split(' ')[0])).toEqual(['a/b'])
  })

  it('that is not wanted any more leaves nothing behind', async () => {
    const { outcomes } = await receive(wanted(), whole('abc'))
    await threads.discard(outcomes.flatMap((outcome) => (outcome.outcome === 'received' ? outcome : [])))
    expect(await files()).toEqual([])
  })
})

describe('a failure leaves no file under any name', () => {
  afterEach(async () => {
    expect(await files()).toEqual([])
  })

  it('when the body is cut short', async () => {
    const { outcomes, refusal } = await receive(wanted(), cutAfter(500_000, Buffer.alloc(200_000)))
    expect(outcomes).toMatchObject([{ outcome: 'failed', id: '1', code: 'BODY_TRUNCATED' }])
    expect(refusal).toBeNull()
  })

  it('when the body ends early but in good order', async () => {
    const { outcomes } = await receive(wanted(), (_request, response) => {
      response.writeHead(200, { 'geo-blob-bytes': '10' }).end('nine left')
    })
    expect(outcomes).toMatchObject([
      { code: 'BODY_TRUNCATED', message: 'Error downloading file: 9 of the announced 10 bytes arrived' },
    ])
  })

  it('when more comes than was announced', async () => {
    const { outcomes } = await receive(wanted(), (_request, response) => {
      response.writeHead(200, { 'geo-blob-bytes': '3' }).end('four')
    })
    expect(outcomes).toMatchObject([{ outcome: 'failed', code: 'BODY_TOO_LONG' }])
  })

  it.each(['f/another%20one', '%'])('when the bytes are of another file: %s', async (said) => {
    const { outcomes, refusal } = await receive(wanted(), (_request, response) => {
      response.writeHead(200, { 'geo-blob-bytes': '3', 'geo-blob-key': said }).end('new')
    })
    expect([outcomes, refusal]).toMatchObject([[], { kind: 'failed', code: 'KEY_CHANGED' }])
    expect(await files()).toEqual([])
  })

  it('when the file is missing on the primary', async () => {
    const { outcomes, refusal } = await receive(wanted(), (_request, response) => {
      const body = JSON.stringify({ geo_code: 'FILE_NOT_FOUND', message: 'Widget #1 file not found' })
      response.writeHead(404, { 'content-type': 'application/json' }).end(body)
    })
    expect(outcomes).toEqual([])
    expect(refusal).toEqual({
      kind: 'failed',
      code: 'FILE_NOT_FOUND',
      message: 'The file is missing on the Geo primary site',
    })
  })

  it('when the record is missing on the primary, which is not the same', async () => {
    const { refusal } = await receive(wanted(), (_request, response) => {
      response.writeHead(404).end(JSON.stringify({ code: 'RECORD_NOT_FOUND', message: 'widget not found' }))
    })
    expect(refusal).toMatchObject({ kind: 'failed', code: 'RECORD_NOT_FOUND' })
  })

  it('when the primary fails, even with a page in HTML', async () => {
    const { refusal } = await receive(wanted(), (_request, response) => {
      response.writeHead(500, { 'content-type': 'text/html' }).end('<h1>Oops</h1>')
    })
    expect(refusal).toMatchObject({
      kind: 'failed',
      code: 'HTTP_STATUS',
      message: 'Non-success HTTP response status code 500',
    })
  })

  it.each([
    [
      { message: `\u001b[2J a\nb\u202e${'m'.repeat(2000)}` },
      /^Non-success HTTP response status code 500: \\u001b\[2J a b\\u202em+…$/,
    ],
    [{ message: { toString: 1 } }, /^Non-success HTTP response status code 500$/],
    [{ message: 5 }, /^Non-success HTTP response status code 500$/],
  ])('when the primary fails, with one line of what it says', async (said, line) => {
    const { refusal } = await receive(wanted(), (_request, response) => {
      response.writeHead(500).end(JSON.stringify(said))
    })
    expect(refusal).toMatchObject({ kind: 'failed', code: 'HTTP_STATUS', message: expect.stringMatching(line) })
    expect(refusal?.message.length).toBeLessThan(1100)
  })

  it('when the bytes are not those that the primary recorded', async () => {
    const result = await receive(wanted({ expected: { algorithm: 'xxh64', hex: XXH64_OF_ABC } }), whole('abd'))
    expect(result.outcomes).toMatchObject([{ outcome: 'failed', code: 'CHECKSUM_MISMATCH' }])
  })

  it('when the answer does not say how long the blob is, for then none can tell whether it is whole', async () => {
    const { outcomes, refusal } = await receive(wanted(), (_request, response) => void response.end('<h1>Log in</h1>'))
    expect(outcomes).toEqual([])
    expect(refusal).toMatchObject({ kind: 'failed', code: 'INVALID_RESPONSE' })
  })

  it('when the primary fails with a page that has no end', async () => {
    const { refusal } = await receive(wanted(), (_request, response) => {
      response.writeHead(500).write(Buffer.alloc(1_000_000))
    })
    expect(refusal).toMatchObject({ kind: 'failed', code: 'HTTP_STATUS' })
  })

  const pauses: [number, Record<string, string>, object][] = [
    [429, { 'retry-after': '7' }, { code: 'PRIMARY_BUSY', retryAfterMs: 7000 }],
    [503, {}, { code: 'PRIMARY_BUSY' }],
    [502, {}, { code: 'PRIMARY_UNREACHABLE' }],
    [504, {}, { code: 'PRIMARY_UNREACHABLE' }],
    [401, {}, { code: 'PRIMARY_REFUSED' }],
    [403, {}, { code: 'PRIMARY_REFUSED' }],
  ]
  for (const [status, headers, expected] of pauses) {
    it(`when the primary answers ${status}, which is a pause and no fault of the blob`, async () => {
      const { outcomes, refusal } = await receive(wanted(), (_request, response) => {
        response.writeHead(status, headers).end()
      })
      expect(outcomes).toEqual([])
      expect(refusal).toMatchObject({ kind: 'pause', ...expected })
    })
  }

  it('when nobody listens, which is a pause', async () => {
    const gone = await stageServer()
    await gone.close()
    const { outcomes, refusal } = await receive(wanted(), null, { url: gone.url })
    expect(outcomes).toEqual([])
    expect(refusal).toMatchObject({ kind: 'pause', code: 'PRIMARY_UNREACHABLE' })
    expect(refusal?.message).toContain('ECONNREFUSED')
  })

  it('when the primary falls silent in the middle', async () => {
    const { outcomes } = await receive(wanted(), (_request, response) => {
      response.writeHead(200, { 'geo-blob-bytes': '10' }).write('half')
    })
    expect(outcomes).toMatchObject([{ outcome: 'failed', code: 'BODY_TRUNCATED' }])
    expect(outcomes).toMatchObject([{ message: expect.stringMatching(/timeout/i) }])
  })

  it('when the transfer is cut from this side', async () => {
    const controller = new AbortController()
    const receiving = receive(
      wanted(),
      (_request, response) => void response.writeHead(200, { 'geo-blob-bytes': '10' }).write('half'),
      { signal: controller.signal },
    )
    await until(async () => (await files()).some((entry) => entry.includes('.geo-tmp-')))
    controller.abort()
    expect(await receiving).toMatchObject({ outcomes: [], refusal: { kind: 'pause', code: 'LEASE_LOST' } })
  })

  it('when the transfer was cut before it began', async () => {
    const result = await receive(wanted(), whole('abc'), { signal: AbortSignal.abort() })
    expect(result.outcomes.filter(({ outcome }) => outcome === 'received')).toEqual([])
  })

  it('when the key leads out of the store', async () => {
    await symlink(tmpdir(), join(root, 'planted'))
    const planted = await receive(wanted({ key: 'planted/x' }), whole('abc'))
    expect(planted.outcomes).toMatchObject([{ outcome: 'failed', code: 'KEY_OUTSIDE_ROOT' }])
    const upwards = await receive(wanted({ key: '../x' }), whole('abc'))
    expect(upwards.outcomes).toMatchObject([{ outcome: 'failed', code: 'INVALID_KEY' }])
    await rm(join(root, 'planted'))
  })
})

describe('the timeout of a transfer is one of silence', () => {
  it('so one that drips for several times as long comes through', async () => {
    const drops = 30
    const startedAtMs = performance.now()
    const { outcomes } = await receive(wanted(), (_request, response) => {
      response.writeHead(200, { 'geo-blob-bytes': String(drops) })
      let dropped = 0
      const dripping = setInterval(() => {
        response.write('.')
        dropped += 1
        if (dropped < drops) return
        clearInterval(dripping)
        response.end()
      }, IDLE_TIMEOUT_MS / 8)
    })
    expect(outcomes).toMatchObject([{ outcome: 'received', bytes: drops }])
    expect(performance.now() - startedAtMs).toBeGreaterThan(3 * IDLE_TIMEOUT_MS)
  })
})
