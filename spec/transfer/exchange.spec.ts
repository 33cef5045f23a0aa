import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Answer, exchange } from '../../lib/transfer/exchange.ts'

const BODY = randomBytes(4 * 1024 * 1024)
const LINE = { signal: new AbortController().signal, live: true }

let server: Server
let url: string

beforeAll(async () => {
  server = createServer((socket) => {
    socket.once('data', () => {
      // The head and the first bytes lie in one packet, and so in one piece of memory.
      const head = Buffer.from(`HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: ${BODY.length}\r\n\r\n`)
      socket.end(Buffer.concat([head, BODY]))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
})
afterAll(async () => {
  server.close()
  await once(server, 'close')
})

function ask(spend: () => Promise<void> | null): Promise<Answer> {
  return exchange({ method: 'GET', url, headers: {} }, 5000, { ...LINE, spend })
}

it('the memory of what has been taken is given back, and of what lies beside other bytes it is not', async () => {
  const answer = await ask(() => null)
  const taken: { buffer: ArrayBufferLike; whole: boolean }[] = []
  const copies: Buffer[] = []
  await answer.read((chunk) => {
    copies.push(Buffer.from(chunk))
    taken.push({ buffer: chunk.buffer, whole: chunk.length === chunk.buffer.byteLength })
  })
  expect(Buffer.concat(copies).equals(BODY)).toBe(true)
  const detached = ({ buffer }: (typeof taken)[number]) => buffer instanceof ArrayBuffer && buffer.detached
  const before = taken.slice(0, -1)
  expect(before.filter(({ whole }) => whole).length).toBeGreaterThan(10)
  expect(before.filter(({ whole }) => whole).every(detached)).toBe(true)
  expect(before.filter(({ whole }) => !whole).some(detached)).toBe(false)
})

it('every byte comes, also where each chunk is followed by a pause', async () => {
  const answer = await ask(() => new Promise((resolve) => setImmediate(resolve)))
  const copies: Buffer[] = []
  await answer.read((chunk) => copies.push(Buffer.from(chunk)))
  expect(Buffer.concat(copies).equals(BODY)).toBe(true)
})
