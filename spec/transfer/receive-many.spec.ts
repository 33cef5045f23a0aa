import { mkdtemp, rm } from 'node:fs/promises'
import type { RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { ReceiveResult, WantedBlob } from '../../lib/transfer/blob-order.ts'
import { encodeHeader, FRAMES_CONTENT_TYPE } from '../../lib/transfer/frame.ts'
import { TransferThreads } from '../../lib/transfer/threads.ts'
import { folderContents } from '../support/folder-contents.ts'
import { type StagedServer, stageServer } from '../support/staged-server.ts'
import { transferLine } from '../support/transfer-line.ts'
import { transferTask } from '../support/transfer-task.ts'

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
  root = await mkdtemp(join(tmpdir(), 'geo-receive-many-'))
})
afterEach(() => rm(root, { recursive: true, force: true }))

const wanted = (id: string): WantedBlob => ({ id, key: `f/${id}`, expected: null })
const blob = (id: string, body: string): Buffer =>
  Buffer.concat([encodeHeader({ frame: 'blob', id, bytes: Buffer.byteLength(body) }), Buffer.from(body)])
const end = (count: number): Buffer => encodeHeader({ frame: 'end', count })

function receive(blobs: readonly WantedBlob[], listener: RequestListener): Promise<ReceiveResult> {
  primary.answer(listener)
  const task = transferTask({
    url: primary.url,
    root,
    blobs,
  })
  return threads.receive('many', task, transferLine())
}

const sending =
  (...parts: Buffer[]): RequestListener =>
  (_request, response) =>
    void response.writeHead(200, { 'content-type': FRAMES_CONTENT_TYPE }).end(Buffer.concat(parts))

async function temporaryFiles(): Promise<number> {
  return (await folderContents(root)).filter((entry) => entry.includes('.geo-tmp-')).length
}

describe('many blobs in one answer', () => {
  it('are asked for by their keys in one request, and each ends as its frame says', async () => {
    let asked = ''
    const result = await receive(['1', '2', '3', '4'].map(wanted), (request, response) => {
      request.setEncoding('utf8').on('data', (text: string) => {
        asked += text
      })
      request.on('end', () => {
        const refused = encodeHeader({ frame: 'error', id: '4', code: 'FILE_NOT_FOUND', message: '#4 file not found' })
        const large = encodeHeader({ frame: 'large', id: '2', bytes: 9_000_000 })
        const later = encodeHeader({ frame: 'later', id: '3', bytes: 9 })
        sending(blob('1', 'one'), large, later, refused, end(4))(request, response)
      })
    })
    expect(JSON.parse(asked)).toEqual({ ids: ['1', '2', '3', '4'] })
    expect(result.refusal).toBeNull()
    expect(new Map(result.outcomes.map((outcome) => [outcome.id, outcome.outcome]))).toEqual(
      new Map([
        ['1', 'received'],
        ['2', 'large'],
        ['3', 'later'],
        ['4', 'failed'],
      ]),
    )
    expect(await temporaryFiles()).toBe(1)
  })

  it('are asked for without the first where none of it arrives whole: that may be what breaks the answer, and is tried alone', async () => {
    const { outcomes, refusal } = await receive(['1', '2'].map(wanted), (_request, response) => {
      const cut = blob('1', 'one').subarray(0, -1)
      response.writeHead(200, { 'content-type': FRAMES_CONTENT_TYPE, 'content-length': 1000 })
      response.write(cut, () => response.destroy())
    })
    expect(outcomes).toEqual([{ outcome: 'large', id: '1', bytes: 256 * 1024 + 1 }])
    expect(refusal).toMatchObject({ kind: 'pause', code: 'PRIMARY_UNREACHABLE' })
  })

  it('keep the whole ones where the answer is cut within a frame, and the rest waits without blame', async () => {
    const cut = Buffer.concat([blob('1', 'one'), blob('2', 'two'), blob('3', 'three').subarray(0, -2)])
    const { outcomes, refusal } = await receive(['1', '2', '3'].map(wanted), (_request, response) => {
      response.writeHead(200, { 'content-type': FRAMES_CONTENT_TYPE, 'content-length': cut.length + 2 + end(3).length })
      response.write(cut, () => response.destroy())
    })
    expect(outcomes.map(({ outcome, id }) => [outcome, id])).toEqual([
      ['received', '1'],
      ['received', '2'],
    ])
    expect(refusal).toMatchObject({ kind: 'pause', code: 'PRIMARY_UNREACHABLE' })
    expect(await temporaryFiles()).toBe(2)
  })

  it('keep the whole ones where the answer stops between two frames', async () => {
    const { outcomes, refusal } = await receive(['1', '2'].map(wanted), sending(blob('1', 'one')))
    expect(outcomes).toMatchObject([{ outcome: 'received', id: '1' }])
    expect(refusal).toMatchObject({ kind: 'pause' })
  })

  it('are only those asked for, and each once', async () => {
    const { outcomes } = await receive(
      [wanted('1')],
      sending(blob('1', 'one'), blob('1', 'another'), blob('9', 'uninvited'), end(3)),
    )
    expect(outcomes).toMatchObject([{ outcome: 'received', id: '1', bytes: 3 }])
    expect(await temporaryFiles()).toBe(1)
  })

  it('judge each by its own checksum', async () => {
    const expected = { algorithm: 'xxh64', hex: '44bc2cf5ad770999' } as const
    const both = [
      { ...wanted('1'), expected },
      { ...wanted('2'), expected },
    ]
    const { outcomes } = await receive(both, sending(blob('1', 'abc'), blob('2', 'xyz'), end(2)))
    expect(outcomes).toMatchObject([
      { outcome: 'received', id: '1' },
      { outcome: 'failed', id: '2', code: 'CHECKSUM_MISMATCH' },
    ])
  })

  it('get no name of a file that the primary has replaced meanwhile', async () => {
    const named = (id: string, key: string) =>
      Buffer.concat([encodeHeader({ frame: 'blob', id, bytes: 3, key }), Buffer.from('new')])
    const { outcomes } = await receive(
      ['1', '2'].map(wanted),
      sending(named('1', 'f/another'), named('2', 'f/2'), end(2)),
    )
    expect(outcomes).toMatchObject([
      { outcome: 'failed', id: '1', code: 'KEY_CHANGED' },
      { outcome: 'received', id: '2' },
    ])
    expect(await temporaryFiles()).toBe(1)
  })

  it('are nothing where the answer holds something else', async () => {
    const page = await receive([wanted('1')], (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Log in</h1>')
    })
    expect(page).toMatchObject({ outcomes: [], refusal: { kind: 'failed', code: 'INVALID_RESPONSE' } })
    const noise = Buffer.concat([Buffer.of(0, 0, 0, 4), Buffer.from('nope')])
    const garbage = await receive([wanted('1')], sending(noise))
    expect(garbage).toMatchObject({ outcomes: [], refusal: { kind: 'failed', code: 'INVALID_RESPONSE' } })
    expect(await temporaryFiles()).toBe(0)
  })

  it('are nothing where more follows than the last frame, or more than a primary ever sends', async () => {
    const longer = await receive([wanted('1')], sending(blob('1', 'one'), end(1), Buffer.from('more')))
    expect(longer).toMatchObject({ outcomes: [], refusal: { kind: 'failed', code: 'BODY_TOO_LONG' } })
    const endless = await receive([wanted('1')], sending(blob('1', 'one'), blob('2', 'x'.repeat(9_000_000)), end(2)))
    expect(endless).toMatchObject({ outcomes: [], refusal: { kind: 'failed', code: 'BODY_TOO_LONG' } })
    expect(await temporaryFiles()).toBe(0)
  })

  it('end no connection for good: the next request is answered on a new one', async () => {
    await receive([wanted('1')], (_request, response) => void response.destroy())
    const { outcomes } = await receive([wanted('1')], sending(blob('1', 'one'), end(1)))
    expect(outcomes).toMatchObject([{ outcome: 'received' }])
  })
})
