import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import request from 'supertest'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { encodeDigest } from '../../lib/blob/digest.ts'
import { type ErrorCode, GeoError } from '../../lib/errors.ts'
import { decodeFrames } from '../../lib/transfer/frame.ts'
import { digestOfIds, type TokenScope } from '../../lib/transfer/token.ts'
import { VERIFICATION_STATE } from '../../lib/verification/verification-state.ts'
import { folderContents } from '../support/folder-contents.ts'
import { createPrimarySite, type PrimarySite } from '../support/primary-site.ts'
import { until } from '../support/until.ts'

const PATH = '/api/v4/geo/retrieve/widget'
const PAST_CACHES_MS = 6000

let site: PrimarySite
let id: string
let before: unknown

async function everything(): Promise<unknown> {
  const tables = ['widgets', 'widget_states', 'gadgets', 'geo_nodes', 'geo_events', 'geo_leases', 'geo_stores']
  const rows = await Promise.all(tables.map((table) => site.databases.main(table).select().orderBy(1)))
  return { rows, files: await folderContents(join(site.root, '..')) }
}

beforeAll(async () => {
  site = await createPrimarySite()
  id = await site.addWidget('good', 'good')
  // The first blob that is served also gives the store its marker.
  expect((await get(id)).status).toBe(200)
})
afterAll(() => site.close())

beforeEach(async () => {
  site.takeLoggedCodes()
  before = await everything()
})
afterEach(async () => {
  expect(await everything()).toEqual(before)
})

const one = (replicableId: string): TokenScope => ({ replicable_name: 'widget', replicable_id: replicableId })
const many = (ids: readonly string[]): TokenScope => ({
  replicable_name: 'widget',
  replicable_ids_sha256: digestOfIds(ids),
})

async function get(path: string, header?: string | Promise<string>): Promise<request.Response> {
  const token = await (header ?? site.sign(one(path)))
  return request(site.url).get(`${PATH}/${path}`).set('authorization', token)
}

async function post(body: object | string, scope: TokenScope): Promise<request.Response> {
  const sent = request(site.url)
    .post(PATH)
    .set('authorization', await site.sign(scope))
  return sent.set('content-type', 'application/json').send(body)
}

function expectRefusal(response: request.Response, status: number, code: ErrorCode): void {
  expect([response.status, response.body.code]).toEqual([status, code])
  expect(response.body.message).toEqual(expect.any(String))
  expect(site.takeLoggedCodes()).toEqual([code])
}

describe('what cannot be served has a code of its own', () => {
  it('a type that is not declared here', async () => {
    const header = await site.sign({ replicable_name: 'gizmo', replicable_id: id })
    const response = await request(site.url).get(`/api/v4/geo/retrieve/gizmo/${id}`).set('authorization', header)
    expectRefusal(response, 404, 'UNKNOWN_REPLICABLE')
  })

  for (const bad of ['abc', '1e3', '0x1', '9223372036854775808', '1;select', '%20']) {
    it(`an id that is no key: ${bad}`, async () => {
      const header = await site.sign(one(decodeURIComponent(bad)))
      expectRefusal(await get(bad, header), 400, 'INVALID_RECORD_ID')
    })
  }

  it('a record that does not exist', async () => {
    const response = await get('999999')
    expectRefusal(response, 404, 'RECORD_NOT_FOUND')
    expect(response.body).not.toHaveProperty('geo_code')
  })

  it('a site that is not the primary', async () => {
    const url = await site.serveAlso({ siteName: 'paris' })
    const asked = request(url)
      .get(`${PATH}/${id}`)
      .set('authorization', await site.sign(one(id)))
    expectRefusal(await asked, 409, 'NOT_PRIMARY')
  })

  it('a site whose process has another encryption key', async () => {
    const url = await site.serveAlso({ encryptionKey: '00'.repeat(32) })
    const asked = request(url)
      .get(`${PATH}/${id}`)
      .set('authorization', await site.sign(one(id)))
    expectRefusal(await asked, 500, 'SECRET_UNDECRYPTABLE')
  })
})

describe('with a row or a file that is not as it should be', () => {
  async function refuseWidget(filePath: string | null): Promise<request.Response> {
    const bad = await site.addWidget(filePath)
    before = await everything()
    return get(bad)
  }

  it('a missing file is told as such', async () => {
    const response = await refuseWidget('gone/file')
    expectRefusal(response, 404, 'FILE_NOT_FOUND')
    expect(response.body.geo_code).toBe('FILE_NOT_FOUND')
  })

  it('a row without a file is told as a missing file', async () => {
    expectRefusal(await refuseWidget(null), 404, 'FILE_NOT_FOUND')
  })

  it('a file where the key needs a folder is told as a missing file', async () => {
    expectRefusal(await refuseWidget('good/below'), 404, 'FILE_NOT_FOUND')
  })

  for (const key of ['../x', '/etc/passwd', 'a/../../x', './good', '.geo-store.json', 'a//b', '']) {
    it(`the key ${JSON.stringify(key)} is refused`, async () => {
      expectRefusal(await refuseWidget(key), 422, 'INVALID_KEY')
    })
  }

  it('a folder that leads outside is refused, and so is a file that does', async () => {
    const outside = join(site.root, '..', 'outside')
    await mkdir(outside)
    await writeFile(join(outside, 'secret'), 'secret')
    await symlink(outside, join(site.root, 'planted'))
    await symlink(join(outside, 'secret'), join(site.root, 'planted-file'))
    expectRefusal(await refuseWidget('planted/secret'), 422, 'KEY_OUTSIDE_ROOT')
    expectRefusal(await refuseWidget('planted-file'), 422, 'KEY_OUTSIDE_ROOT')
  })

  it('a folder is not a blob', async () => {
    await mkdir(join(site.root, 'folder'))
    expectRefusal(await refuseWidget('folder'), 422, 'NOT_A_FILE')
  })

  it('a blob that is known to be corrupt stays here', async () => {
    const corrupt = await site.addWidget('corrupt', 'corrupt')
    await site.databases.main('widget_states').insert({
      widget_id: corrupt,
      verification_state: VERIFICATION_STATE.failed,
      verification_checksum: encodeDigest({ algorithm: 'xxh64', hex: '00'.repeat(8) }),
      verification_failure: 'CORRUPT_ON_PRIMARY: other bytes',
    })
    before = await everything()
    expectRefusal(await get(corrupt), 409, 'CORRUPT_ON_PRIMARY')
  })
})

describe('a row whose key the host’s function cannot say', () => {
  let bad: string
  let url: string
  const failing = (ofRow: { id: string; file_path: string | null }): string | null => {
    if (ofRow.id === bad) throw new Error('no such folder')
    return ofRow.file_path
  }
  const message = () => `The blob function of widget failed for #${bad}: no such folder`

  beforeAll(async () => {
    bad = await site.addWidget('bad', 'bad')
    url = await site.serveAlso({ replicables: [Object.freeze({ ...site.replicables.widgets, blob: failing })] })
  })

  it('is refused with the code and the host’s words', async () => {
    const asked = request(url)
      .get(`${PATH}/${bad}`)
      .set('authorization', await site.sign(one(bad)))
    expectRefusal(await asked, 500, 'BLOB_FUNCTION_FAILED')
    expect((await asked).body.message).toBe(message())
    site.takeLoggedCodes()
  })

  it('is refused alone among others', async () => {
    const response = await request(url)
      .post(PATH)
      .set('authorization', await site.sign(many([bad, id])))
      .responseType('blob')
      .send({ ids: [bad, id] })
    expect(decodeFrames(response.body)).toMatchObject({
      ending: 'complete',
      frames: [
        { header: { frame: 'error', id: bad, code: 'BLOB_FUNCTION_FAILED', message: message() } },
        { header: { frame: 'blob', id }, body: Buffer.from('good') },
      ],
    })
    expect(site.takeLoggedCodes()).toEqual(['BLOB_FUNCTION_FAILED'])
  })
})

describe('a list that is not as it should be', () => {
  const ids = (count: number) => Array.from({ length: count }, (_, index) => String(index + 1))

  it('with more blobs than allowed', async () => {
    expectRefusal(await post({ ids: ids(101) }, many(ids(101))), 400, 'INVALID_REQUEST')
  })

  for (const body of ['{}', '{"ids":[]}', '{"ids":[1]}', '{"ids":["1"],"all":true}', '[]', '{"ids":', 'null']) {
    it(`as ${body}`, async () => {
      expectRefusal(await post(body, many(['1'])), 400, 'INVALID_REQUEST')
    })
  }

  it('longer than allowed', async () => {
    const long = ['1'.repeat(300_000)]
    expectRefusal(await post({ ids: long }, many(long)), 413, 'REQUEST_TOO_LARGE')
  })

  it('with a key that is none', async () => {
    expectRefusal(await post({ ids: [id, 'x'] }, many([id, 'x'])), 400, 'INVALID_RECORD_ID')
  })

  it('cut short', async () => {
    const header = await site.sign(many([id]))
    const answer = await new Promise<string>((resolve, reject) => {
      const chunks: Buffer[] = []
      const socket = connect(site.port, '127.0.0.1', () => {
        const head = `POST ${PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: ${header}\r\nContent-Type: application/json\r\n`
        socket.end(`${head}Content-Length: 1000\r\n\r\n{"ids":["${id}"]}`)
      })
      socket.on('data', (chunk) => chunks.push(chunk))
      socket.on('error', reject)
      socket.on('close', () => resolve(Buffer.concat(chunks).toString()))
    })
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
    const logged: unknown[] = []
    await until(() => logged.push(...site.takeLoggedCodes()) > 0)
    expect(logged).toEqual([expect.stringMatching(/^(REQUEST_TRUNCATED|INVALID_REQUEST)$/)])
  })
})

describe('what an operator did', () => {
  it('a disabled site gets nothing, though it signs well', async () => {
    const nodes = () => site.databases.main('geo_nodes').where({ name: 'paris' })
    await nodes().update({ enabled: false })
    site.clock.advance(PAST_CACHES_MS)
    expectRefusal(await get(id), 403, 'SITE_DISABLED')
    await nodes().update({ enabled: true })
    site.clock.advance(PAST_CACHES_MS)
  })

  it('a store that has gone since it was looked at serves nothing either', async () => {
    expect((await get(id)).status).toBe(200)
    await rename(site.root, `${site.root}.away`)
    await mkdir(site.root)
    try {
      expectRefusal(await get(id), 503, 'STORE_NOT_MOUNTED')
      site.takeLoggedCodes()
      expect(await post({ ids: [id] }, many([id]))).toMatchObject({ status: 503, body: { code: 'STORE_NOT_MOUNTED' } })
    } finally {
      await rm(site.root, { recursive: true })
      await rename(`${site.root}.away`, site.root)
      site.clock.advance(PAST_CACHES_MS)
    }
  })

  it('a store whose disk does not let it be told serves nothing, and that is no failure of the blob', async () => {
    const { widgets, gadgets } = site.replicables
    const readMarker = async () => {
      throw new GeoError('STORAGE_ERROR', 'EIO: i/o error, read')
    }
    const broken = Object.freeze({ ...widgets, store: { ...widgets.store, readMarker } })
    const url = await site.serveAlso({ replicables: [broken, gadgets] })
    const asked = request(url)
      .get(`${PATH}/${id}`)
      .set('authorization', await site.sign(one(id)))
    expectRefusal(await asked, 503, 'STORE_NOT_MOUNTED')
  })

  it('a store that is not mounted serves nothing, rather than call its blobs missing', async () => {
    const url = await site.serveAlso({})
    await site.databases.main('geo_stores').update({ store_id: site.databases.main.raw('gen_random_uuid()') })
    before = await everything()
    const asked = request(url)
      .get(`${PATH}/${id}`)
      .set('authorization', await site.sign(one(id)))
    expectRefusal(await asked, 503, 'STORE_NOT_MOUNTED')
  })
})
