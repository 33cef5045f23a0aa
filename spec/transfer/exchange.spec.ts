import { createHash, randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Answer, exchange } from '../../lib/transfer/exchange.ts'
import { type StagedServer, stageServer } from '../support/staged-server.ts'
import { until } from '../support/until.ts'

const MEBIBYTE = 1024 * 1024
/** Read past the parser of HTTP. */
const LARGE = randomBytes(9 * MEBIBYTE)
const SMALL = randomBytes(300_000)

let server: StagedServer
/** Those that the server has got, in their order. */
let connections: Set<Socket>
beforeEach(async () => {
  server = await stageServer()
  connections = new Set()
})
afterEach(() => server.close())

const unlimited = { signal: new AbortController().signal, live: true, spend: () => null }

function ask(line: Parameters<typeof exchange>[2] = unlimited, idleTimeoutMs = 5000): Promise<Answer> {
  return exchange({ method: 'GET', url: server.url, headers: {} }, idleTimeoutMs, line)
}

function offer(body: Buffer, headers: Record<string, string | number> = { 'content-length': body.length }): void {
  server.answer((request, response) => {
    connections.add(request.socket)
    response.writeHead(200, headers).end(body)
  })
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

async function read(answer: Answer): Promise<Buffer> {
  const chunks: Buffer[] = []
  await answer.read((chunk) => void chunks.push(Buffer.from(chunk)))
  return Buffer.concat(chunks)
}

for (const [name, body] of [
  ['large', LARGE],
  ['small', SMALL],
] as const) {
  describe(`a ${name} body`, () => {
    it('comes whole and in order, also where nobody reads it for a while', async () => {
      offer(body)
      const answer = await ask()
      await until(() => connections.size === 1)
      for (let turn = 0; turn < 100; turn += 1) await new Promise(setImmediate)
      expect(sha256(await read(answer))).toBe(sha256(body))
    })

    it('comes whole where its pieces are not as long as announced but come one after the other', async () => {
      server.answer((_request, response) => {
        response.writeHead(200, { 'content-length': body.length })
        const send = (from: number): void => {
          if (from >= body.length) return void response.end()
          response.write(body.subarray(from, from + 77_777), () => setImmediate(send, from + 77_777))
        }
        send(0)
      })
      expect(sha256(await read(await ask()))).toBe(sha256(body))
    })

    it('that breaks is told from one that is whole, and what came before is passed on', async () => {
      server.answer((_request, response) => {
        response.writeHead(200, { 'content-length': body.length })
        response.write(body.subarray(0, body.length - 1000), () => response.socket?.destroySoon())
      })
      let bytes = 0
      const answer = await ask()
      const reading = answer.read((chunk) => {
        bytes += chunk.length
      })
      await expect(reading).rejects.toThrow('The connection broke')
      expect(bytes).toBe(body.length - 1000)
    })

    it('that falls silent is given up', async () => {
      server.answer((_request, response) => {
        response.writeHead(200, { 'content-length': body.length }).write(body.subarray(0, 1000))
      })
      await expect(read(await ask(unlimited, 100))).rejects.toThrow('Timeout: nothing came for 100 ms')
    })

    it('that falls silent after it had to wait is given up', async () => {
      server.answer((_request, response) => {
        response.writeHead(200, { 'content-length': body.length }).write(body.subarray(0, 1000))
      })
      const granted = Promise.withResolvers<void>()
      const answer = await ask({ ...unlimited, spend: () => granted.promise }, 50)
      const silentSince = performance.now()
      const reading = read(answer)
      await until(() => performance.now() - silentSince > 150)
      granted.resolve()
      await expect(reading).rejects.toThrow('Timeout')
    })

    it('ends with what whoever takes it throws', async () => {
      offer(body)
      const answer = await ask()
      const reading = answer.read(() => {
        throw new RangeError('Enough')
      })
      await expect(reading).rejects.toThrow(new RangeError('Enough'))
    })

    it('is cut by the line', async () => {
      const cut = new AbortController()
      server.answer((_request, response) => {
        response.writeHead(200, { 'content-length': body.length }).write(body.subarray(0, 1000))
      })
      const answer = await ask({ ...unlimited, signal: cut.signal })
      await expect(answer.read(() => cut.abort())).rejects.toThrow('cut from this side')
    })

    it('waits while the line has nothing to spend, longer than it may be silent, and is over with the last grant', async () => {
      offer(body)
      const grants: PromiseWithResolvers<void>[] = []
      let spent = 0
      const spend = (bytes: number): Promise<void> => {
        spent += bytes
        const grant = Promise.withResolvers<void>()
        grants.push(grant)
        return grant.promise
      }
      const idleTimeoutMs = 50
      const answer = await ask({ ...unlimited, spend }, idleTimeoutMs)
      let over = false
      const reading = read(answer).finally(() => {
        over = true
      })
      await until(() => grants.length === 1)
      const silentSince = performance.now()
      await until(() => performance.now() - silentSince > 3 * idleTimeoutMs)
      expect(grants).toHaveLength(1)
      for (let granted = 0; spent < body.length; granted += 1) {
        await until(() => grants.length > granted)
        if (spent < body.length) grants[granted]?.resolve()
      }
      for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate)
      expect(over).toBe(false)
      grants.at(-1)?.resolve()
      expect(sha256(await reading)).toBe(sha256(body))
    })
  })
}

it('What comes after a large body has ended is not part of it', async () => {
  server.answer((request) => {
    request.socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${LARGE.length}\r\n\r\n`)
    request.socket.end(Buffer.concat([LARGE, Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc')]))
  })
  expect(sha256(await read(await ask()))).toBe(sha256(LARGE))
})

it('The memory of what was taken is given back, unless whoever takes it keeps it', async () => {
  offer(SMALL)
  const taken: Buffer[] = []
  await (await ask()).read((chunk) => void taken.push(chunk))
  expect(taken.map(({ buffer }) => buffer instanceof ArrayBuffer && buffer.detached)).not.toContain(false)
  for (const body of [SMALL, LARGE]) {
    offer(body)
    const kept: Buffer[] = []
    await (await ask()).read((chunk) => void kept.push(chunk), { keeps: true })
    expect(sha256(Buffer.concat(kept))).toBe(sha256(body))
  }
})

it('A large body that comes in chunks is put together', async () => {
  offer(LARGE, { 'transfer-encoding': 'chunked' })
  expect(sha256(await read(await ask()))).toBe(sha256(LARGE))
})

it('A connection is used again after a small body, and not after a large one', async () => {
  offer(SMALL)
  for (let round = 0; round < 3; round += 1) {
    await read(await ask())
    // It is free once the agent has heard of the end.
    await new Promise(setImmediate)
  }
  expect(connections.size).toBe(1)
  offer(LARGE)
  await read(await ask())
  offer(SMALL)
  await read(await ask())
  expect(connections.size).toBe(2)
})

it('A connection that the other side has just closed, as it may where nothing is asked, is no failure: another one is taken', async () => {
  offer(SMALL)
  await read(await ask())
  await new Promise(setImmediate)
  server.answer((request, response) => {
    // Too late for the agent to hear of it before it sends the next request.
    if (connections.has(request.socket)) request.socket.destroy()
    else response.writeHead(200, { 'content-length': SMALL.length }).end(SMALL)
  })
  expect(sha256(await read(await ask()))).toBe(sha256(SMALL))
})

it('A new connection that breaks before an answer is a failure', async () => {
  let asked = 0
  server.answer((request) => {
    asked += 1
    request.socket.destroy()
  })
  await expect(ask()).rejects.toThrow('socket hang up')
  expect(asked).toBe(1)
})

it('A head that drips for longer than an answer may be silent is given up', async () => {
  server.answer((request) => {
    request.socket.write('HTTP/1.1 200 OK\r\n')
    const drip = setInterval(() => request.socket.write('x: y\r\n'), 20)
    request.socket.on('close', () => clearInterval(drip))
  })
  await expect(ask(unlimited, 200)).rejects.toThrow('Timeout')
})

it('A request whose line is over before it is sent does not reach the other side', async () => {
  offer(SMALL)
  await expect(ask({ ...unlimited, live: false })).rejects.toThrow('cut from this side')
  expect(connections.size).toBe(0)
})

it('An address that is none is refused', async () => {
  for (const url of ['ftp://x/', 'http://', 'http://[::1/', 'http://x:99999/', 'nothing']) {
    await expect(exchange({ method: 'GET', url, headers: {} }, 1000, unlimited)).rejects.toThrow(TypeError)
  }
})
