import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FrontFigures, FrontOrder } from './front.ts'
import { Mischief, shapeOf, type Trick } from './mischief.ts'
import { Seeded } from './seeded.ts'

/**
 * What stands before the processes of the primary: passes each request to one of those that run, counts, and misbehaves where it is
 * told to. In a process of its own, in the network of the primary.
 */
const TRANSFERS = '/api/v4/geo/retrieve/'
const RETRANSMISSION_MS = 200

let backends: readonly string[] = []
let turn = 0
let silent = false
let slow: { readonly delayMs: number; readonly loss: number; readonly chance: Seeded } | null = null
let mischief: Mischief | null = null
const clients = new Set<Socket>()
const open = new Set<ServerResponse>()
/** What is counted from an order to begin on, or from a reset. */
const counted = (): Omit<FrontFigures, 'open' | 'mostOpen'> => ({
  connections: 0,
  requests: 0,
  transfers: 0,
  ones: { asked: 0, goneOn: 0, bytesSent: 0 },
  bytesSent: 0,
  unanswered: 0,
  played: {},
})
const figures: FrontFigures = { open: 0, mostOpen: 0, ...counted() }

const server = createServer((incoming, answer) => {
  figures.requests += 1
  if (incoming.url?.startsWith(TRANSFERS)) count(incoming, answer)
  pass(incoming, answer).catch(() => answer.destroy())
})
server.requestTimeout = 0
server.on('connection', (socket) => {
  figures.connections += 1
  clients.add(socket)
  socket.setNoDelay(true)
  let written = 0
  const tally = () => {
    figures.bytesSent += socket.bytesWritten - written
    written = socket.bytesWritten
  }
  const ticking = setInterval(tally, 100)
  socket.once('close', () => {
    clearInterval(ticking)
    tally()
    clients.delete(socket)
  })
  socket.on('error', () => socket.destroy())
  if (silent) socket.pause()
})

function count(incoming: IncomingMessage, answer: ServerResponse): void {
  if (shapeOf(incoming) === 'one') countOne(incoming, answer)
  figures.transfers += 1
  open.add(answer)
  figures.open = open.size
  figures.mostOpen = Math.max(figures.mostOpen, open.size)
  answer.once('close', () => {
    open.delete(answer)
    figures.open = open.size
  })
}

/** A connection carries one answer after the other. */
function countOne({ headers, socket }: IncomingMessage, answer: ServerResponse): void {
  const { ones } = figures
  const before = socket.bytesWritten
  ones.asked += 1
  if (headers.range !== undefined) ones.goneOn += 1
  answer.once('close', () => {
    ones.bytesSent += socket.bytesWritten - before
  })
}

async function pass(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
  const pieces: Buffer[] = []
  for await (const piece of incoming) pieces.push(piece as Buffer)
  const body = Buffer.concat(pieces)
  await onItsWay(body.length)
  if (mischief && incoming.url?.startsWith(TRANSFERS) && (await mischief.play(incoming, body, answer, ask))) return
  const response = await ask(incoming, body)
  if (!response) {
    figures.unanswered += 1
    answer.writeHead(502).end('No process of the primary answers')
    return
  }
  await onItsWay(0)
  answer.writeHead(response.statusCode ?? 502, response.headers)
  // So that a head without a body arrives by itself, as the primary sent it.
  answer.flushHeaders()
  if (!slow) await pipeline(response, answer)
  else await pipeline(response, delayed, answer)
}

/** Asks one process after the other, beginning with another one each time; null where none takes the connection. */
async function ask(incoming: IncomingMessage, body: Buffer): Promise<IncomingMessage | null> {
  turn += 1
  for (let at = 0; at < backends.length; at += 1) {
    const url = backends[(turn + at) % backends.length] ?? ''
    const response = await askOne(url, incoming, body).catch((reason: NodeJS.ErrnoException) => {
      if (reason.code === 'ECONNREFUSED') return null
      throw reason
    })
    if (response) return response
  }
  return null
}

function askOne(base: string, { url = '/', method, headers }: IncomingMessage, body: Buffer): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const forwarded = request(new URL(url, base), { method, headers, agent: false }, resolve)
    forwarded.on('error', reject)
    forwarded.end(body)
  })
}

/** The time of a line: a lost piece comes when it was sent again, and so does all that follows it. */
async function onItsWay(bytes: number): Promise<void> {
  if (!slow) return
  const packets = Math.max(1, Math.ceil(bytes / 1448))
  const isLost = slow.chance.next() < 1 - (1 - slow.loss) ** packets
  await sleep(slow.delayMs + (isLost ? RETRANSMISSION_MS + 2 * slow.delayMs : 0))
}

async function* delayed(source: Readable): AsyncGenerator<Buffer> {
  // All that is on its way at once arrives at once: a window of 64 KiB each round trip would be another network.
  for await (const piece of source) {
    await onItsWay((piece as Buffer).length)
    yield piece as Buffer
  }
}

function played(trick: Trick): void {
  figures.played[trick] = (figures.played[trick] ?? 0) + 1
}

function obey(order: FrontOrder): void {
  if (order.type === 'backends') backends = order.urls
  if (order.type === 'slow') slow = order.how && { ...order.how, chance: new Seeded(order.how.seed) }
  if (order.type === 'mischief') mischief = order.plan ? new Mischief(order.plan, played) : null
  if (order.type === 'silence') {
    silent = order.on
    for (const socket of clients) silent ? socket.pause() : socket.resume()
  }
  // Whoever asked for them is gone, and its parting was not heard: they are open here only.
  if (order.type === 'strand') {
    open.clear()
    figures.open = 0
  }
  if (order.type === 'read') process.send?.(figures)
  if (order.type === 'begin') figures.mostOpen = open.size
  if (order.type === 'begin' || order.type === 'reset') Object.assign(figures, counted())
}

process.on('message', obey)
process.on('disconnect', () => process.exit(0))
server.listen(0, process.argv[2] ?? '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
