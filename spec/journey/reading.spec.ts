import { randomBytes } from 'node:crypto'
import request from 'supertest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bytesOf } from '../support/blob-files.ts'
import type { ForkedSite } from '../support/forked-site.ts'
import { openPublisher, type Publisher } from '../support/publisher.ts'
import { countRequests, type RequestCounter } from '../support/request-counter.ts'
import type { Stored } from '../support/site-client.ts'
import { startTwoSites, type TwoSites } from '../support/two-sites.ts'

const RETRIEVE = '/api/v4/geo/retrieve/widget'
const BYTES = randomBytes(1_500_000)

const read = ({ url }: ForkedSite, { id }: { id: string }, headers: Record<string, string> = {}) =>
  request(url).get(`/widgets/${id}/file`).set(headers).responseType('blob')

describe('reading on the secondary', { timeout: 180_000 }, () => {
  let sites: TwoSites
  let requests: RequestCounter
  let publisher: Publisher
  let widget: Stored

  beforeAll(async () => {
    sites = await startTwoSites({
      flags: { widgets: false, gadgets: true },
      between: async (primaryUrl) => {
        requests = await countRequests(primaryUrl)
        return requests.url
      },
    })
    publisher = openPublisher(sites)
    widget = await sites.upload('widgets', 'a widget.bin', BYTES)
    await sites.databases.caughtUp()
  })
  afterAll(async () => {
    await publisher?.close()
    await sites?.stop()
    await requests?.close()
  })

  it('a file that is not here yet comes through from the primary', async () => {
    const response = await read(sites.secondary, widget)
    expect(response.status).toBe(200)
    expect(BYTES.equals(response.body)).toBe(true)
    expect(response.headers).toMatchObject({
      'content-length': String(BYTES.length),
      'content-disposition': expect.stringContaining('a widget.bin'),
    })
    expect(requests.count(RETRIEVE)).toBe(1)
    expect(await bytesOf(sites.secondary, widget.key)).toBeNull()

    const range = await read(sites.secondary, widget, { range: 'bytes=1000-1099' })
    expect([range.status, range.headers['content-range']]).toEqual([206, `bytes 1000-1099/${BYTES.length}`])
    expect(BYTES.subarray(1000, 1100).equals(range.body)).toBe(true)
  })

  it('a file that is verified here has the ETag of the primary, on HEAD and ranges too', async () => {
    await sites.setFlags({ widgets: true, gadgets: true })
    await sites.untilVerified({ widgets: 1, gadgets: 0 })
    const asked = requests.count(RETRIEVE)
    const [here, there] = [await read(sites.secondary, widget), await read(sites.primary, widget)]
    expect(BYTES.equals(here.body)).toBe(true)
    const { etag } = here.headers
    expect(etag).toMatch(/^"xxh64-/)
    expect(there.headers['etag']).toBe(etag)
    expect((await read(sites.secondary, widget, { 'if-none-match': String(there.headers['etag']) })).status).toBe(304)
    const head = await request(sites.secondary.url).head(`/widgets/${widget.id}/file`)
    expect(head.headers).toMatchObject({ etag, 'content-length': String(BYTES.length) })
    const range = await read(sites.secondary, widget, { range: 'bytes=-100', 'if-range': String(etag) })
    expect([range.status, BYTES.subarray(-100).equals(range.body)]).toEqual([206, true])
    expect(requests.count(RETRIEVE)).toBe(asked)
  })

  it('a write is answered with 409 and the address of the primary', async () => {
    const { url } = sites.secondary
    const refusals = [
      await request(url).post('/widgets').attach('file', BYTES, 'x'),
      await request(url).delete(`/widgets/${widget.id}`),
    ]
    for (const { status, body } of refusals) {
      expect([status, body.code, body.primary]).toEqual([409, 'READ_ONLY_SITE', `${sites.primary.url}/`])
    }
    expect(refusals[1]?.headers['location']).toBe(`${sites.primary.url}/widgets/${widget.id}`)
  })

  it('a file that is verified here needs no primary; one that is not is said to come later', async () => {
    await sites.primary.stop()
    const local = await read(sites.secondary, widget)
    expect([local.status, BYTES.equals(local.body)]).toEqual([200, true])

    const [late] = await publisher.insert('widgets', [{ name: 'late.txt', bytes: 'late' }])
    await sites.databases.caughtUp()
    const response = await request(sites.secondary.url).get(`/widgets/${late?.id}/file`)
    expect([response.status, response.body.code]).toEqual([503, expect.stringMatching(/^PRIMARY_UNREACHABLE$/)])
    expect(response.headers).toHaveProperty('retry-after')
    expect(response.headers).not.toHaveProperty('content-disposition')
  })
})

describe('a secondary that passes writes on', { timeout: 180_000 }, () => {
  let sites: TwoSites
  beforeAll(async () => {
    sites = await startTwoSites({ flags: { widgets: true, gadgets: true }, forwardsWrites: true })
  })
  afterAll(() => sites?.stop())

  it('brings an upload to the primary, from where it comes back verified', async () => {
    const { primary, secondary } = sites
    const created = await request(secondary.url).post('/widgets').attach('file', BYTES, 'passed on.bin')
    expect([created.status, created.headers['location']]).toEqual([201, `/widgets/${created.body.id}`])
    expect((await bytesOf(primary, created.body.file_path))?.equals(BYTES)).toBe(true)

    await sites.untilVerified({ widgets: 1, gadgets: 0 })
    expect((await bytesOf(secondary, created.body.file_path))?.equals(BYTES)).toBe(true)
    expect((await read(secondary, created.body)).headers['etag']).toMatch(/^"xxh64-/)

    expect((await request(secondary.url).delete(`/widgets/${created.body.id}`)).status).toBe(204)
    await sites.untilVerified({ widgets: 0, gadgets: 0 })
  })
})
