import { join } from 'node:path'
import { SignJWT } from 'jose'
import request from 'supertest'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { ErrorCode } from '../../lib/errors.ts'
import { digestOfIds, type TokenScope } from '../../lib/transfer/token.ts'
import { folderContents } from '../support/folder-contents.ts'
import { createPrimarySite, type PrimarySite } from '../support/primary-site.ts'

const PATH = '/api/v4/geo/retrieve/widget'

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

/** A token of paris for the good blob, but made differently. */
function forge(
  make: (token: SignJWT, nowS: number) => SignJWT,
  { secret = site.secretOf(site.paris), alg = 'HS256', accessKey = site.paris.accessKey, data = '' } = {},
): Promise<string> {
  const nowS = Math.floor(site.clock.nowMs() / 1000)
  const token = new SignJWT({ data: data || JSON.stringify(one(id)) }).setProtectedHeader({ alg })
  const standard = token
    .setIssuedAt(nowS)
    .setNotBefore(nowS - 5)
    .setExpirationTime(nowS + 60)
  return make(standard, nowS)
    .sign(Buffer.from(secret))
    .then((signed) => `GL-Geo ${accessKey}:${signed}`)
}

describe('strangers get 401 and learn nothing', () => {
  const unsigned = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
  const headers: Record<string, () => string | Promise<string>> = {
    'an empty header': () => '',
    'another scheme': () => 'Bearer abc',
    'garbage after the scheme': () => 'GL-Geo :::\u00ff',
    'an unknown access key': () => forge((token) => token, { accessKey: 'nobody' }),
    'no token': () => `GL-Geo ${site.paris.accessKey}:`,
    'a bad signature': () => forge((token) => token, { secret: 'x'.repeat(40) }),
    'the secret of one site under the key of another': () =>
      forge((token) => token, { accessKey: site.tokyo.accessKey }),
    'a stronger algorithm than agreed': () => forge((token) => token, { alg: 'HS512' }),
    'algorithm none': () => {
      const nowS = Math.floor(Date.now() / 1000)
      const claims = { data: JSON.stringify(one(id)), iat: nowS, nbf: nowS, exp: nowS + 60 }
      return `GL-Geo ${site.paris.accessKey}:${unsigned({ alg: 'none' })}.${unsigned(claims)}.`
    },
    'data that is not JSON': () => forge((token) => token, { data: 'x' }),
    'data with a field too many': () => forge((token) => token, { data: JSON.stringify({ ...one(id), all: true }) }),
    'data without a blob': () => forge((token) => token, { data: '{"replicable_name":"widget"}' }),
  }
  for (const [title, header] of Object.entries(headers)) {
    it(`for ${title}`, async () => {
      expectRefusal(await get(id, header()), 401, 'UNAUTHORIZED')
    })
  }

  it('for no header at all, also before a large body is read', async () => {
    expectRefusal(await request(site.url).get(`${PATH}/${id}`), 401, 'UNAUTHORIZED')
    const sent = request(site.url)
      .post(PATH)
      .send({ ids: ['1'.repeat(500_000)] })
    expectRefusal(await sent, 401, 'UNAUTHORIZED')
  })
})

describe('a token is good for a minute and for what it names', () => {
  it('and not after the leeway of the clocks', async () => {
    const header = await site.sign(one(id))
    site.clock.shiftWall(121_000)
    expectRefusal(await get(id, header), 401, 'TOKEN_EXPIRED')
    site.clock.shiftWall(-121_000)
  })

  it('and not before it was made', async () => {
    const header = await site.sign(one(id))
    site.clock.shiftWall(-70_000)
    expectRefusal(await get(id, header), 401, 'TOKEN_EXPIRED')
    site.clock.shiftWall(70_000)
  })

  it('whatever life it gives itself', async () => {
    const header = await forge((token, nowS) => token.setExpirationTime(nowS + 86_400))
    site.clock.shiftWall(130_000)
    expectRefusal(await get(id, header), 401, 'TOKEN_EXPIRED')
    site.clock.shiftWall(-130_000)
  })

  it('not for another blob', async () => {
    expectRefusal(await get(id, site.sign(one('424242'))), 401, 'TOKEN_SCOPE')
  })

  it('not for a blob of another type', async () => {
    expectRefusal(await get(id, site.sign({ replicable_name: 'gadget', replicable_id: id })), 401, 'TOKEN_SCOPE')
  })

  it('not for a list, if it names one blob, nor the other way round', async () => {
    expectRefusal(await post({ ids: [id] }, one(id)), 401, 'TOKEN_SCOPE')
    expectRefusal(await get(id, site.sign(many([id]))), 401, 'TOKEN_SCOPE')
  })

  it('not for a list in which one blob is another', async () => {
    expectRefusal(await post({ ids: [id, '2'] }, many([id, '3'])), 401, 'TOKEN_SCOPE')
  })
})
