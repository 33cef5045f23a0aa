import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import request from 'supertest'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { decodeFrames, FRAMES_CONTENT_TYPE, type Frame, SMALL_BLOB_BYTES } from '../../lib/transfer/frame.ts'
import { TransferThreads } from '../../lib/transfer/threads.ts'
import { digestOfIds, type TokenScope } from '../../lib/transfer/token.ts'
import { gateTo } from '../support/database-gate.ts'
import { connect } from '../support/databases.ts'
import { createPrimarySite, type PrimarySite } from '../support/primary-site.ts'
import { recordingLogger } from '../support/recording-logger.ts'
import { until } from '../support/until.ts'

let site: PrimarySite

beforeAll(async () => {
  site = await createPrimarySite()
})
afterAll(() => site.close())

async function fetchOne(id: string): Promise<request.Response> {
  const token = await site.sign({ replicable_name: 'widget', replicable_id: id })
  return request(site.url).get(`/api/v4/geo/retrieve/widget/${id}`).set('authorization', token).responseType('blob')
}

async function fetchMany(ids: readonly string[]): Promise<request.Response> {
  const token = await site.sign({ replicable_name: 'widget', replicable_ids_sha256: digestOfIds(ids) })
  return request(site.url)
    .post('/api/v4/geo/retrieve/widget')
    .set('authorization', token)
    .responseType('blob')
    .send({ ids })
}

function framesOf(response: request.Response): Frame[] {
  const decoded = decodeFrames(response.body)
  expect(decoded?.ending).toBe('complete')
  return decoded?.frames ?? []
}

describe('one blob', () => {
  it('is kept in memory no longer than until it is sent', async () => {
    const bytes = randomBytes(3 * 1024 * 1024 + 1)
    const id = await site.addWidget('one/kept', bytes)
    const allocate = vi.spyOn(Buffer, 'allocUnsafeSlow')
    try {
      const response = await fetchOne(id)
      expect(bytes.equals(response.body)).toBe(true)
      const read = allocate.mock.calls.flatMap(([size], call) =>
        size === 1024 * 1024 ? [allocate.mock.results[call]?.value.buffer] : [],
      )
      expect(read).toHaveLength(2)
      await until(() => read.every(({ detached }) => detached))
    } finally {
      allocate.mockRestore()
    }
  })

  it('that is not read to its end, for the other side went away, is no failure of this side', async () => {
    const id = await site.addWidget('one/left', randomBytes(16 * 1024 * 1024))
    const log = recordingLogger()
    const url = await site.serveAlso({ logger: log })
    const authorization = await site.sign({ replicable_name: 'widget', replicable_id: id })
    const asking = get(`${url}/api/v4/geo/retrieve/widget/${id}`, { headers: { authorization }, agent: false })
    const [answer] = (await once(asking, 'response')) as [IncomingMessage]
    answer.destroy()
    await until(() => log.lines.some(({ message }) => message === 'The other side ended a transfer'))
    expect(log.codes()).toEqual([])
  })

  it('is answered with its bytes, its length and no more', async () => {
    const bytes = randomBytes(3_000_000)
    const response = await fetchOne(await site.addWidget('one/large ä', bytes))
    expect(response.status).toBe(200)
    expect(response.headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-length': '3000000',
      'geo-blob-bytes': '3000000',
      'geo-blob-key': 'one%2Flarge%20%C3%A4',
    })
    expect(bytes.equals(response.body)).toBe(true)
    expect(site.takeLoggedCodes()).toEqual([])
  })

  it('is answered also when it is empty', async () => {
    const response = await fetchOne(await site.addWidget('one/empty', ''))
    expect(response.status).toBe(200)
    expect(response.headers['geo-blob-bytes']).toBe('0')
    expect(response.body).toHaveLength(0)
  })

  it('is found under a key with characters that paths and URLs treat specially', async () => {
    const response = await fetchOne(await site.addWidget('one/ü %2e#?\\ *\n', 'odd'))
    expect(response.status).toBe(200)
    expect(response.body.toString()).toBe('odd')
  })

  it('is answered for a token that is as old as the leeway of the clocks allows', async () => {
    const id = await site.addWidget('one/leeway', 'x')
    const token = await site.sign({ replicable_name: 'widget', replicable_id: id })
    site.clock.shiftWall(115_000)
    const response = await request(site.url).get(`/api/v4/geo/retrieve/widget/${id}`).set('authorization', token)
    site.clock.shiftWall(-115_000)
    expect(response.status).toBe(200)
  })
})

describe('many blobs', () => {
  it('are kept in memory no longer than until they are sent', async () => {
    const pack = vi.spyOn(TransferThreads.prototype, 'pack')
    try {
      const bytes = Array.from({ length: 15 }, () => randomBytes(SMALL_BLOB_BYTES))
      const ids = await Promise.all(bytes.map((content, number) => site.addWidget(`many/kept/${number}`, content)))
      const frames = framesOf(await fetchMany(ids))
      expect(bytes.every((content, number) => content.equals(frames[number]?.body ?? Buffer.of()))).toBe(true)
      const packed = await pack.mock.results[0]?.value
      await until(async () => packed.response.buffer.detached)
    } finally {
      pack.mockRestore()
    }
  })

  it('come in one response in the order asked for, the large ones announced only', async () => {
    const small = await site.addWidget('many/small', 'small')
    const large = await site.addWidget('many/large', randomBytes(SMALL_BLOB_BYTES + 1))
    const empty = await site.addWidget('many/empty', '')
    const response = await fetchMany([small, large, empty])
    expect(response.status).toBe(200)
    expect(response.headers['content-type']).toBe(FRAMES_CONTENT_TYPE)
    const frames = framesOf(response)
    expect(frames.map(({ header, body }) => [header, Buffer.from(body).toString()])).toEqual([
      [{ frame: 'blob', id: small, bytes: 5, key: 'many/small' }, 'small'],
      [{ frame: 'large', id: large, bytes: SMALL_BLOB_BYTES + 1 }, ''],
      [{ frame: 'blob', id: empty, bytes: 0, key: 'many/empty' }, ''],
    ])
  })

  it('are put off where they do not fit any more, and a smaller one still goes with the others', async () => {
    const full = Buffer.alloc(SMALL_BLOB_BYTES, 1)
    const ids: string[] = []
    for (let number = 1; number <= 15; number += 1) ids.push(await site.addWidget(`full/${number}`, full))
    ids.push(await site.addWidget('full/nearly', full.subarray(10)))
    const late = await site.addWidget('full/late', full)
    const tiny = await site.addWidget('full/tiny', '10 bytes..')
    const frames = framesOf(await fetchMany([...ids, late, tiny]))
    expect(frames.slice(0, 16).map(({ header }) => header.frame)).toEqual(Array(16).fill('blob'))
    expect(frames.slice(16).map(({ header }) => header)).toEqual([
      { frame: 'later', id: late, bytes: SMALL_BLOB_BYTES },
      { frame: 'blob', id: tiny, bytes: 10, key: 'full/tiny' },
    ])
  })

  it('that are refused cost the others nothing', async () => {
    const good = await site.addWidget('mixed/good', 'good')
    const lost = await site.addWidget('mixed/lost')
    const hostile = await site.addWidget('../outside')
    const unfiled = await site.addWidget(null)
    const frames = framesOf(await fetchMany([hostile, good, lost, unfiled, '999999']))
    const outcomes = frames.map(({ header }) => {
      if (header.frame === 'end') throw new Error('The last frame is not counted')
      return [header.id, header.frame === 'error' ? header.code : header.frame]
    })
    expect(Object.fromEntries(outcomes)).toEqual({
      [good]: 'blob',
      [hostile]: 'INVALID_KEY',
      [lost]: 'FILE_NOT_FOUND',
      [unfiled]: 'FILE_NOT_FOUND',
      999999: 'RECORD_NOT_FOUND',
    })
  })
})

describe('while the database of the primary is away', () => {
  it.each([
    ['one blob', (url: string, id: string) => request(url).get(`/api/v4/geo/retrieve/widget/${id}`), 'replicable_id'],
    [
      'many blobs',
      (url: string, id: string) =>
        request(url)
          .post('/api/v4/geo/retrieve/widget')
          .send({ ids: [id] }),
      'many',
    ],
  ])('who asks for %s is told to come again, and no blob has failed', async (_, ask, scope) => {
    const gate = await gateTo(site.databases.mainUrl)
    await gate.open()
    const mainDb = connect(gate.url)
    try {
      const url = await site.serveAlso({ mainDb })
      const id = await site.addWidget(`away/${scope}`, 'there')
      const send = async () => {
        const of = scope === 'many' ? { replicable_ids_sha256: digestOfIds([id]) } : { replicable_id: id }
        return ask(url, id).set('authorization', await site.sign({ replicable_name: 'widget', ...of } as TokenScope))
      }
      expect((await send()).status).toBe(200)
      await gate.shut()
      // Once with what is known of the sites, and once when that has grown old.
      for (const passedMs of [0, 60_000]) {
        site.clock.advance(passedMs)
        const answer = await send()
        expect([answer.status, answer.body.code]).toEqual([503, 'DATABASE_UNAVAILABLE'])
        // What the driver says is for the log.
        expect(answer.body.message).not.toMatch(/select|127\.0\.0\.1/)
      }
    } finally {
      await gate.shut()
      await mainDb.destroy()
    }
  })
})
