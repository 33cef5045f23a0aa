import { createServer, get, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Front } from './front.ts'
import { loopback } from './network.ts'

let front: Front
let backend: Server
const waiting: ServerResponse[] = []

beforeEach(async () => {
  backend = createServer((_, answer) => void waiting.push(answer))
  await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve))
  front = await Front.open(loopback().place('tokyo'))
  front.order({ type: 'backends', urls: [`http://127.0.0.1:${(backend.address() as AddressInfo).port}`] })
})

afterEach(async () => {
  await front.close()
  for (const answer of waiting.splice(0)) answer.end()
  await new Promise((resolve) => backend.close(resolve))
})

/** A transfer whose answer waits for `answered`. */
async function transfer(): Promise<void> {
  const before = waiting.length
  get(`${front.url}/api/v4/geo/retrieve/widget/1`, { agent: false }, (response) => response.resume()).on(
    'error',
    () => undefined,
  )
  await expect.poll(() => waiting.length).toBe(before + 1)
}

async function answered(): Promise<void> {
  for (const answer of waiting.splice(0)) answer.end()
  await expect.poll(async () => (await front.figures()).open).toBe(0)
}

describe('the front of the primary', () => {
  it('remembers how many transfers were open at once until a fault begins, whatever else is forgotten meanwhile', async () => {
    await transfer()
    await transfer()
    await answered()
    front.order({ type: 'reset' })
    expect(await front.figures()).toMatchObject({ mostOpen: 2, transfers: 0, requests: 0 })
    front.order({ type: 'begin' })
    expect(await front.figures()).toMatchObject({ mostOpen: 0 })
  })

  it('counts connections also while it is silent', async () => {
    front.order({ type: 'silence', on: true })
    const before = (await front.figures()).connections
    const socket = connect(Number(new URL(front.url).port), '127.0.0.1')
    await expect.poll(async () => (await front.figures()).connections).toBe(before + 1)
    expect(await front.figures()).toMatchObject({ requests: 0 })
    socket.destroy()
  })

  it('knows requests for one blob from those for many, spoils those it is to spoil, and counts what goes on', async () => {
    const ask = async (path: string, init: RequestInit = {}) => {
      const asked = fetch(`${front.url}/api/v4/geo/retrieve/${path}`, init).then(({ status }) => status)
      await Promise.race([asked, expect.poll(() => waiting.length).toBe(1)])
      for (const answer of waiting.splice(0)) answer.end('bytes of it')
      return asked
    }
    const plan = { seed: '1', tricks: ['broken'], perThousand: 1000, most: 1, only: 'many' } as const
    front.order({ type: 'mischief', plan })
    expect(await ask('widget/1')).toBe(200)
    expect(await ask('widget', { method: 'POST', body: '{}' })).toBe(500)
    expect(await ask('widget/1', { headers: { range: 'bytes=5-' } })).toBe(200)
    const { ones, played } = await front.figures()
    expect(played).toEqual({ broken: 1 })
    expect(ones).toMatchObject({ asked: 2, goneOn: 1 })
    expect(ones.bytesSent).toBeGreaterThan(2 * 'bytes of it'.length)
  })

  it('says too much of one blob and too little of the next, also where it is asked for them at once', async () => {
    const plan = { seed: '1', tricks: ['wrongLength'], perThousand: 1000, most: 4 } as const
    front.order({ type: 'mischief', plan })
    const asked = [1, 2, 3, 4].map((id) => fetch(`${front.url}/api/v4/geo/retrieve/widget/${id}`))
    await expect.poll(() => waiting.length).toBe(asked.length)
    for (const answer of waiting.splice(0)) answer.setHeader('geo-blob-bytes', '10').end('0123456789')
    const lengths = (await Promise.all(asked)).map(({ headers }) => Number(headers.get('geo-blob-bytes')))
    expect(lengths.toSorted((a, b) => a - b)).toEqual([9, 9, 11, 11])
  })

  it.each(['cut', 'truncated', 'reset'] as const)(
    'has something of each body come, and all where it is a byte: %s',
    async (trick) => {
      front.order({ type: 'mischief', plan: { seed: '1', tricks: [trick], perThousand: 1000, most: 100 } })
      const bytesOf = async (body: string) => {
        let bytes = 0
        const url = `${front.url}/api/v4/geo/retrieve/widget/1`
        const ended = new Promise<void>((resolve) => {
          const asked = get(url, { agent: false }, (response) => {
            response.on('data', (piece: Buffer) => {
              bytes += piece.length
            })
            response.on('close', resolve)
          })
          asked.on('error', () => resolve())
        })
        await expect.poll(() => waiting.length).toBe(1)
        for (const answer of waiting.splice(0)) answer.end(body)
        await ended
        return bytes
      }
      expect(await bytesOf('1')).toBe(1)
      expect(await front.figures()).toMatchObject({ played: {} })
      const come = new Set<number>()
      for (let turn = 1; turn <= 10; turn += 1) come.add(await bytesOf('12'))
      // What has come and was not read yet is lost with RST.
      if (trick === 'reset') expect(come).not.toContain(2)
      else expect([...come]).toEqual([1])
      expect((await front.figures()).played).toEqual({ [trick]: 10 })
    },
  )
})
