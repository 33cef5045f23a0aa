import { randomBytes } from 'node:crypto'
import { utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import request from 'supertest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createPrimarySite, type PrimarySite } from '../support/primary-site.ts'

const BYTES = randomBytes(500_000)

let site: PrimarySite
let id: string

beforeAll(async () => {
  site = await createPrimarySite()
  id = await site.addWidget('ranged', BYTES)
})
afterAll(() => site.close())

async function ask(headers: Record<string, string> = {}, method: 'get' | 'head' = 'get'): Promise<request.Response> {
  const token = await site.sign({ replicable_name: 'widget', replicable_id: id })
  const asked = request(site.url)
    [method](`/api/v4/geo/retrieve/widget/${id}`)
    .set({ authorization: token, ...headers })
  return method === 'get' ? asked.responseType('blob') : asked
}

async function etag(): Promise<string> {
  return String((await ask({}, 'head')).headers['etag'])
}

describe('a part of a blob', () => {
  const parts: [string, number, number][] = [
    ['bytes=0-', 0, 500_000],
    ['bytes=123456-', 123_456, 500_000],
    ['bytes=10-19', 10, 20],
    ['bytes=499990-999999', 499_990, 500_000],
    ['bytes=-7', 499_993, 500_000],
  ]
  for (const [range, start, end] of parts) {
    it(`is answered with 206 and says which it is: ${range}`, async () => {
      const response = await ask({ range })
      expect(response.status).toBe(206)
      expect(response.headers).toMatchObject({
        'content-range': `bytes ${start}-${end - 1}/500000`,
        'content-length': String(end - start),
        'geo-blob-bytes': '500000',
        'accept-ranges': 'bytes',
      })
      expect(BYTES.subarray(start, end).equals(response.body)).toBe(true)
    })
  }

  it('that lies beyond the end is answered with 416 and the size', async () => {
    const response = await ask({ range: 'bytes=500000-' })
    expect(response.status).toBe(416)
    expect(response.headers['content-range']).toBe('bytes */500000')
    expect(JSON.parse(response.body.toString())).toMatchObject({ code: 'RANGE_NOT_SATISFIABLE' })
    expect(site.takeLoggedCodes()).toEqual(['RANGE_NOT_SATISFIABLE'])
  })

  for (const range of ['bytes=0-1,5-6', 'lines=1-2', 'bytes=x']) {
    it(`that is asked for in another way is answered with the whole: ${range}`, async () => {
      const response = await ask({ range })
      expect(response.status).toBe(200)
      expect(response.body).toHaveLength(500_000)
    })
  }

  it('is that of the version that is named by If-Range, and else the whole', async () => {
    const before = await etag()
    expect((await ask({ range: 'bytes=9-', 'if-range': before })).status).toBe(206)
    expect((await ask({ range: 'bytes=9-', 'if-range': `W/${before}` })).status).toBe(200)
    expect((await ask({ range: 'bytes=9-', 'if-range': new Date().toUTCString() })).status).toBe(200)
    expect((await ask({ range: 'bytes=999999-', 'if-range': '"another"' })).status).toBe(200)
  })
})

describe('the ETag of a blob', () => {
  it('is strong, and the same as long as the file is', async () => {
    expect(await etag()).toMatch(/^"[0-9a-z]+-[0-9a-z]+-[0-9a-z]+"$/)
    expect(await etag()).toBe(await etag())
  })

  it('is another when the file was written anew in its place, with the same length', async () => {
    const before = await etag()
    await writeFile(join(site.root, 'ranged'), BYTES)
    const after = await etag()
    expect(after).not.toBe(before)
    await utimes(join(site.root, 'ranged'), 1_700_000_000, 1_700_000_000.000_001)
    expect(await etag()).not.toBe(after)
  })

  it('comes with HEAD, like the length, and without the bytes', async () => {
    const response = await ask({}, 'head')
    expect(response.status).toBe(200)
    expect(response.headers).toMatchObject({ 'content-length': '500000', 'geo-blob-bytes': '500000' })
    expect(response.text ?? '').toBe('')
    expect((await ask({ range: 'bytes=9-' }, 'head')).headers['content-length']).toBe('499991')
  })
})
