import { randomBytes } from 'node:crypto'
import { rename, rm, truncate } from 'node:fs/promises'
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import express from 'express'
import createKnex, { type Knex } from 'knex'
import request from 'supertest'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { findPorts, HOST } from '../../fixtures/demo/ports.ts'
import { CORRUPT_PREFIX } from '../../lib/blob/primary-checksum.ts'
import { defineReplicable, localDisk } from '../../lib/index.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { VERIFICATION_STATE } from '../../lib/verification/verification-state.ts'
import { createReadingSites, type ReadingSites, type ServedSite } from '../support/reading-sites.ts'
import { until } from '../support/until.ts'

const BYTES = Buffer.from('0123456789abcdefghij')
const POLLS_WITHOUT_A_BYTE = 50
const RETRIEVE = '/api/v4/geo/retrieve/widget'

let sites: ReadingSites
let number = 0
function freshKey(): string {
  number += 1
  return `folder-${number}/file.txt`
}

beforeAll(async () => {
  sites = await createReadingSites()
})
afterAll(() => sites.close())

const read = (site: ServedSite, id: string, headers: Record<string, string> = {}) =>
  request(site.url).get(`/widgets/${id}/file`).set(headers).responseType('blob')
const head = (site: ServedSite, id: string) => request(site.url).head(`/widgets/${id}/file`)

/** How often the secondary asked the primary during the work. */
async function askedDuring<Result>(work: () => Promise<Result>): Promise<{ result: Result; asked: number }> {
  const before = sites.requests.count(RETRIEVE)
  const result = await work()
  return { result, asked: sites.requests.count(RETRIEVE) - before }
}

/** A widget in each of the three places that a file is read from. */
const PLACES = {
  'from the file of the primary': async () => {
    const key = freshKey()
    return { site: sites.tokyo, id: await sites.addWidget(key, BYTES) }
  },
  'from the verified copy of a secondary': async () => {
    const key = freshKey()
    const id = await sites.addWidget(key, BYTES)
    await sites.addCopy(id, key, BYTES)
    return { site: sites.paris, id }
  },
  'through a secondary from the primary': async () => {
    return { site: sites.paris, id: await sites.addWidget(freshKey(), BYTES) }
  },
}

describe.each(Object.keys(PLACES) as (keyof typeof PLACES)[])('geo.serve, %s', (place) => {
  let site: ServedSite
  let id: string
  let etag: string

  beforeAll(async () => {
    ;({ site, id } = await PLACES[place]())
    etag = (await read(site, id)).headers['etag'] ?? ''
  })

  it('answers with the bytes, their length, type and ETag', async () => {
    const response = await read(site, id)
    expect(response.status).toBe(200)
    expect(BYTES.equals(response.body)).toBe(true)
    expect(response.headers).toMatchObject({
      'content-length': '20',
      'content-type': 'text/x-widget',
      'content-disposition': expect.stringContaining('a.txt'),
      'accept-ranges': 'bytes',
      'x-content-type-options': 'nosniff',
    })
    expect(etag).toMatch(/^"xxh64-[0-9a-f]{16}"$/)
  })

  it('answers HEAD with the same headers and no bytes', async () => {
    const response = await head(site, id)
    expect(response.status).toBe(200)
    expect(response.headers).toMatchObject({ 'content-length': '20', 'content-type': 'text/x-widget', etag })
    expect(response.text).toBeUndefined()
  })

  it('answers 304 to whoever has these bytes, also from another site', async () => {
    const response = await read(site, id, { 'if-none-match': `"other", ${etag}` })
    expect(response.status).toBe(304)
    expect(response.headers['etag']).toBe(etag)
    expect((await read(site, id, { 'if-none-match': '"other"' })).status).toBe(200)
  })

  it.each([
    ['bytes=0-4', '01234', 'bytes 0-4/20'],
    ['bytes=15-', 'fghij', 'bytes 15-19/20'],
    ['bytes=-3', 'hij', 'bytes 17-19/20'],
    ['bytes=18-99', 'ij', 'bytes 18-19/20'],
  ])('answers a range: %s', async (range, bytes, contentRange) => {
    const response = await read(site, id, { range })
    expect([response.status, response.body.toString(), response.headers['content-range']]).toEqual([
      206,
      bytes,
      contentRange,
    ])
    expect(response.headers).toMatchObject({ 'content-length': String(bytes.length), etag })
  })

  it('answers a range that belongs to other bytes, or several, with the whole', async () => {
    const same = await read(site, id, { range: 'bytes=0-4', 'if-range': etag })
    expect([same.status, same.body.toString()]).toEqual([206, '01234'])
    for (const headers of [
      { range: 'bytes=0-4', 'if-range': '"older"' },
      { range: 'bytes=0-1,4-5' },
      { range: 'lines=1-2' },
    ]) {
      const response = await read(site, id, headers as Record<string, string>)
      expect([response.status, response.body.length]).toEqual([200, 20])
      expect(response.headers['content-range']).toBeUndefined()
    }
  })

  it('answers 416 to a range beyond the end', async () => {
    const response = await request(site.url).get(`/widgets/${id}/file`).set('range', 'bytes=20-')
    expect([response.status, response.body.code]).toEqual([416, 'RANGE_NOT_SATISFIABLE'])
    expect(response.headers['content-range']).toBe('bytes */20')
    expect(response.headers['content-disposition']).toBeUndefined()
  })
})

it('The ETag of the same bytes is the same on every site', async () => {
  const key = freshKey()
  const id = await sites.addWidget(key, 'the same')
  const onPrimary = await head(sites.tokyo, id)
  const through = await head(sites.paris, id)
  await sites.addCopy(id, key, 'the same')
  const { result: local, asked } = await askedDuring(() => head(sites.paris, id))
  expect(asked).toBe(0)
  expect(new Set([onPrimary, through, local].map(({ headers }) => headers['etag'])).size).toBe(1)
})

describe('A secondary', () => {
  it('asks the primary nothing for a copy that is verified', async () => {
    const key = freshKey()
    const id = await sites.addWidget(key, BYTES)
    await sites.addCopy(id, key, BYTES)
    const { result, asked } = await askedDuring(() => read(sites.paris, id))
    expect([result.status, asked]).toEqual([200, 0])
  })

  const { pending, started, failed, disabled } = VERIFICATION_STATE
  it.each([
    ['is not synced', { state: SYNC_STATE.pending }],
    ['is being fetched', { state: SYNC_STATE.started }],
    ['is not verified yet', { verification_state: pending }],
    ['is being verified', { verification_state: started }],
    ['failed its verification', { state: SYNC_STATE.failed, verification_state: failed }],
    ['has nothing to be verified by', { verification_state: disabled }],
    ['is of an earlier key', { blob_key: 'files/earlier' }],
    ['is about to be removed', { removal_requested_at: new Date() }],
  ])('streams from the primary where the copy %s', async (_, columns) => {
    const key = freshKey()
    const id = await sites.addWidget(key, BYTES)
    await sites.addCopy(id, key, 'other bytes, 20 long', columns)
    const { result, asked } = await askedDuring(() => read(sites.paris, id))
    expect([result.status, asked, BYTES.equals(result.body)]).toEqual([200, 1, true])
  })

  it.each([
    ['that someone removed', (path: string) => rm(path)],
    ['that someone cut short', (path: string) => truncate(path, 3)],
    [
      'in whose place is something else',
      async (path: string) => rename(join(path, '..'), path.replace(/\/[^/]*$/, '-away')),
    ],
  ])('streams a verified file %s from the primary, and asks for its verification', async (_, spoil) => {
    const key = freshKey()
    const id = await sites.addWidget(key, BYTES)
    await sites.addCopy(id, key, BYTES)
    await spoil(join(sites.paris.root, key))
    const { result, asked } = await askedDuring(() => read(sites.paris, id))
    expect([result.status, asked, BYTES.equals(result.body)]).toEqual([200, 1, true])
    const row = await sites.databases.tracking('widget_registry').where('widget_id', id).first()
    expect(row).toMatchObject({ state: SYNC_STATE.synced, verification_state: pending })
  })

  it('streams where its store is not mounted', async () => {
    const key = freshKey()
    const id = await sites.addWidget(key, BYTES)
    await sites.addCopy(id, key, BYTES)
    await read(sites.paris, id)
    const fresh = await sites.serveAlso('paris')
    await rename(join(fresh.root, '.geo-store.json'), join(fresh.root, 'marker-away'))
    const { result, asked } = await askedDuring(() => read(fresh, id))
    await rename(join(fresh.root, 'marker-away'), join(fresh.root, '.geo-store.json'))
    expect([result.status, asked]).toEqual([200, 1])
  })

  it('streams while its tracking database is down', async () => {
    const key = freshKey()
    const id = await sites.addWidget(key, BYTES)
    await sites.addCopy(id, key, BYTES)
    const trackingDb = createKnex({ client: 'pg', connection: await closedDatabase() })
    const site = await sites.serveAlso('paris', { options: { trackingDb } })
    const { result, asked } = await askedDuring(() => read(site, id))
    expect([result.status, asked]).toEqual([200, 1])
    expect(site.logger.codes()).toEqual(['DATABASE_UNAVAILABLE'])
    await trackingDb.destroy()
  })

  it('passes on what the primary says of a blob that it cannot give', async () => {
    const key = freshKey()
    const lost = await sites.addWidget(key, BYTES)
    await rm(join(sites.tokyo.root, key))
    const response = await read(sites.paris, lost).responseType('json')
    expect([response.status, JSON.parse(response.body.toString()).code]).toEqual([404, 'FILE_NOT_FOUND'])
  })
})

async function closedDatabase(): Promise<string> {
  const [port] = await findPorts(null)
  return `postgres://postgres@${HOST}:${port}/nothing`
}

describe('geo.serve refuses, on any site,', () => {
  const refusals: [string, () => Promise<string>, number, string][] = [
    ['a record that is not there', async () => '999999', 404, 'RECORD_NOT_FOUND'],
    ['a key that is none', async () => "1'", 404, 'RECORD_NOT_FOUND'],
    ['a record without a file', () => sites.addWidget(null, ''), 404, 'FILE_NOT_FOUND'],
    ['a key that leads outside', () => sites.addWidget('x/../../../etc/passwd', ''), 422, 'INVALID_KEY'],
  ]
  it.each(refusals)('%s', async (_, add, status, code) => {
    const id = await add().catch(async () => {
      // Nothing can be written there.
      const row = { name: 'widget', file_path: '../outside' }
      return String((await sites.databases.main('widgets').insert(row).returning('id'))[0].id)
    })
    for (const site of [sites.tokyo, sites.paris]) {
      const response = await request(site.url).get(`/widgets/${encodeURIComponent(id)}/file`)
      expect([response.status, response.body.code]).toEqual([status, code])
      expect(response.headers['content-disposition']).toBeUndefined()
      expect(response.headers['etag'] ?? '').not.toMatch(/xxh64/)
    }
  })

  it('a blob that is corrupt on the primary, unless a copy is good', async () => {
    const key = freshKey()
    const id = await sites.addWidget(key, BYTES)
    await sites.databases
      .main('widget_states')
      .where('widget_id', id)
      .update({ verification_failure: `${CORRUPT_PREFIX}: x` })
    for (const site of [sites.tokyo, sites.paris]) {
      const response = await request(site.url).get(`/widgets/${id}/file`)
      expect([response.status, response.body.code]).toEqual([409, 'CORRUPT_ON_PRIMARY'])
    }
    await sites.addCopy(id, key, BYTES)
    expect((await read(sites.paris, id)).status).toBe(200)
  })

  it('a record that is not available, though an "or" of the host’s lets in another', async () => {
    const id = await sites.addWidget('not/available', BYTES)
    const { geo, replicables } = sites.tokyo
    const available = (query: Knex.QueryBuilder) => query.where('file_path', 'none').orWhere('file_path', 'another')
    await sites.addWidget('another', BYTES)
    const app = express().get('/:id', geo.serve(Object.freeze({ ...replicables.widgets, available })))
    const response = await request(app).get(`/${id}`)
    expect([response.status, response.body.code]).toEqual([404, 'FILE_NOT_FOUND'])
  })

  it('a row whose key the host’s function cannot say, and tells its words to the log alone', async () => {
    const id = await sites.addWidget(freshKey(), BYTES)
    for (const { geo, logger, replicables } of [sites.tokyo, sites.paris]) {
      const blob = (): string => {
        throw new Error('no such folder as /srv/private')
      }
      const app = express().get('/:id', geo.serve(Object.freeze({ ...replicables.widgets, blob })))
      logger.clear()
      const response = await request(app).get(`/${id}`)
      expect([response.status, response.body.code]).toEqual([500, 'BLOB_FUNCTION_FAILED'])
      expect(response.text).not.toContain('private')
      expect(logger.lines.at(-1)?.fields['cause']).toContain('no such folder as /srv/private')
    }
  })

  it('a row whose type the host’s function cannot say, before there is a file that nobody would close', async () => {
    const missing = freshKey()
    const ids = [await sites.addWidget(freshKey(), BYTES), await sites.addWidget(missing, BYTES)]
    await rm(join(sites.tokyo.root, missing))
    for (const { geo, replicables } of [sites.tokyo, sites.paris]) {
      const contentType = (): string => {
        throw new Error('no type of /srv/private')
      }
      const app = express().get('/:id', geo.serve(replicables.widgets, { contentType }))
      for (const id of ids) {
        const response = await request(app).get(`/${id}`)
        expect([response.status, response.body]).toEqual([500, { code: 'INTERNAL', message: 'Internal error' }])
      }
    }
  })

  it('everything while the main database is down, and says when to ask again', async () => {
    const mainDb = createKnex({ client: 'pg', connection: await closedDatabase() })
    const site = await sites.serveAlso('paris', { options: { mainDb } })
    const response = await request(site.url).get('/widgets/1/file')
    expect([response.status, response.body.code, response.headers['retry-after']]).toEqual([
      503,
      'DATABASE_UNAVAILABLE',
      '5',
    ])
    await mainDb.destroy()
  })

  it('everything on a site that is not registered', async () => {
    const site = await sites.serveAlso('nowhere')
    const id = await sites.addWidget(freshKey(), BYTES)
    const response = await request(site.url).get(`/widgets/${id}/file`)
    expect([response.status, response.body.code]).toEqual([503, 'SITE_UNKNOWN'])
  })
})

it('The ETag of a mutable blob is that of its file: its bytes change before its checksum is voided', async () => {
  const { root } = sites.tokyo
  const mutable = defineReplicable<{ file_path: string | null }>({
    name: 'widget',
    table: 'widgets',
    verificationState: 'separate',
    store: localDisk({ root }),
    blob: (row) => row.file_path,
    immutable: false,
  })
  const key = freshKey()
  const id = await sites.addWidget(key, BYTES)
  let handler = sites.tokyo.geo.serve(mutable)
  const site = await sites.serveAlso('tokyo', {
    options: { replicables: [mutable] },
    routes: (app) => void app.get('/mutable/:id', (...args) => handler(...args)),
  })
  handler = site.geo.serve(mutable)
  expect((await request(site.url).get(`/mutable/${id}`)).headers['etag']).not.toMatch(/xxh64/)
})

describe('Between a slow or restless reader and the primary', () => {
  const LARGE = 256 * 1024 * 1024
  const closings: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const close of closings.splice(0)) await close()
  })

  /** A primary whose file never ends, and what it has been able to send. */
  async function endlessPrimary(): Promise<{
    site: ServedSite
    sent: () => number
    closed: () => boolean
    id: string
  }> {
    let sent = 0
    let closed = false
    const chunk = randomBytes(64 * 1024)
    const send = (response: ServerResponse) => {
      while (!response.destroyed) {
        sent += chunk.length
        if (!response.write(chunk)) return void response.once('drain', () => send(response))
      }
    }
    const server = createServer((_, response) => {
      response.once('close', () => {
        closed = true
      })
      response.writeHead(200, { 'content-length': LARGE, 'geo-blob-bytes': LARGE, etag: '"endless"' })
      send(response)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const internalUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    await sites.tokyo.geo.sites.update('tokyo', { internalUrl })
    const site = await sites.serveAlso('paris')
    closings.push(async () => {
      await sites.tokyo.geo.sites.update('tokyo', { internalUrl: sites.requests.url })
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    })
    return { site, sent: () => sent, closed: () => closed, id: await sites.addWidget(freshKey(), BYTES) }
  }

  const open = (url: string) =>
    new Promise<IncomingMessage>((resolve, reject) => void get(url, { agent: false }, resolve).on('error', reject))

  it('a reader that does not read costs no memory', async () => {
    const { site, sent, id } = await endlessPrimary()
    const response = await open(`${site.url}/widgets/${id}/file`)
    response.pause()
    let before = 0
    let unchanged = 0
    await until(() => {
      unchanged = sent() > 0 && sent() === before ? unchanged + 1 : 0
      before = sent()
      return unchanged === POLLS_WITHOUT_A_BYTE
    })
    // What the sockets on the way hold, and no more.
    expect(sent()).toBeLessThan(LARGE / 8)
    response.destroy()
  })

  it('a reader that goes away ends the request to the primary, and no one is told of a failure', async () => {
    const { site, closed, id } = await endlessPrimary()
    const response = await open(`${site.url}/widgets/${id}/file`)
    expect(response.headers['etag']).toBe('"endless"')
    response.destroy()
    await until(closed)
    expect(site.logger.codes()).toEqual([])
  })

  it('a primary that cannot be reached is said with 503 and when to ask again', async () => {
    const [port] = await findPorts(null)
    await sites.tokyo.geo.sites.update('tokyo', { internalUrl: `http://${HOST}:${port}/` })
    closings.push(async () => void (await sites.tokyo.geo.sites.update('tokyo', { internalUrl: sites.requests.url })))
    const site = await sites.serveAlso('paris')
    const id = await sites.addWidget(freshKey(), BYTES)
    for (const headers of [{}, { range: 'bytes=0-1' }]) {
      const response = await request(site.url).get(`/widgets/${id}/file`).set(headers)
      expect([response.status, response.body.code]).toEqual([503, 'PRIMARY_UNREACHABLE'])
      expect(response.headers['retry-after']).toBe('5')
    }
  })
})
