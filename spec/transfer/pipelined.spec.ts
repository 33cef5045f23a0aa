import { randomBytes } from 'node:crypto'
import { readdir, readlink } from 'node:fs/promises'
import type { Socket } from 'node:net'
import type { RequestHandler } from 'express'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import type { Clock } from '../../lib/clock.ts'
import { createPrimarySite, type PrimarySite } from '../support/primary-site.ts'
import { type RawClient, rawClient, requestHead } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

/** More than the kernel keeps for both sides of a connection. */
const LARGE_BYTES = 24 * 1024 * 1024
const PLACES = 11
const PIPELINED = 3 * PLACES

let site: PrimarySite
let url: string
let large: string
/** Connections that end as soon as the signature of a request on them is looked at. */
const ending = new Set<Socket>()
const clients: RawClient[] = []

const mayEnd: RequestHandler = (request, _response, next) => {
  if (request.get('x-ends') !== undefined) ending.add(request.socket)
  next()
}

/** How often the end of each answer was told: a host may count by it. */
let ends: number[] = []

const counts: RequestHandler = (_request, response, next) => {
  const mine = ends
  const at = mine.push(0) - 1
  response.on('close', () => mine.splice(at, 1, (mine[at] ?? 0) + 1))
  next()
}

beforeAll(async () => {
  site = await createPrimarySite()
  const clock: Clock = {
    ...site.clock,
    nowMs() {
      for (const socket of ending) socket.destroy()
      return site.clock.nowMs()
    },
  }
  url = await site.serveAlso({ retrieveMargin: PLACES - site.paris.filesMaxCapacity, clock }, counts, mayEnd)
  large = await site.addWidget('large', randomBytes(LARGE_BYTES))
})
afterAll(() => site?.close())
afterEach(() => {
  ending.clear()
  ends = []
  for (const { socket } of clients.splice(0)) socket.destroy()
})

async function head(more: Readonly<Record<string, string>> = {}, id = large): Promise<string> {
  const authorization = await site.sign({ replicable_name: 'widget', replicable_id: id })
  return requestHead('GET', `/api/v4/geo/retrieve/widget/${id}`, { authorization, ...more })
}

async function open(sent: string, options?: { reads: boolean }): Promise<RawClient> {
  const client = await rawClient(url, sent, options)
  clients.push(client)
  return client
}

async function openFiles(): Promise<number> {
  const links = await readdir('/proc/self/fd')
  const targets = await Promise.all(links.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')))
  return targets.filter((target) => target === `${site.root}/large`).length
}

async function expectAllPlacesFree(): Promise<void> {
  const sent = await head()
  const all = await Promise.all(Array.from({ length: PLACES }, () => open(sent)))
  await until(() => all.every(({ received }) => received.length > 0))
  expect(all.map(({ received }) => received.slice(9, 12))).toEqual(all.map(() => '200'))
}

it('Requests whose connection ends before they are let in keep no place', async () => {
  const client = await open((await head({ 'x-ends': '1' })).repeat(PIPELINED))
  await client.untilClosed()
  await expectAllPlacesFree()
})

it.runIf(process.platform === 'linux')(
  'Requests that wait for their turn on a connection give their places and files back when it ends',
  async () => {
    const client = await open((await head()).repeat(PIPELINED), { reads: false })
    await until(async () => (await openFiles()) === PLACES)
    client.socket.resetAndDestroy()
    await until(async () => (await openFiles()) === 0)
    await expectAllPlacesFree()
    expect(ends.slice(0, PIPELINED).filter((times) => times > 1)).toEqual([])
  },
)

it.runIf(process.platform === 'linux')(
  'A host is told once of the end of an answer, also of one that is cut where the connection had another before',
  async () => {
    const small = await site.addWidget('small', 'a few bytes')
    const client = await open(await head({}, small))
    await until(() => client.received.includes('a few bytes'))
    client.socket.pause()
    client.socket.write(await head())
    await until(async () => (await openFiles()) === 1)
    client.socket.resetAndDestroy()
    await until(async () => (await openFiles()) === 0)
    await expectAllPlacesFree()
    expect(ends.slice(0, 2)).toEqual([1, 1])
  },
)
