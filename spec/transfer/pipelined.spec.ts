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

beforeAll(async () => {
  site = await createPrimarySite()
  const clock: Clock = {
    ...site.clock,
    nowMs() {
      for (const socket of ending) socket.destroy()
      return site.clock.nowMs()
    },
  }
  url = await site.serveAlso({ retrieveMargin: PLACES - site.paris.filesMaxCapacity, clock }, mayEnd)
  large = await site.addWidget('large', randomBytes(LARGE_BYTES))
})
afterAll(() => site?.close())
afterEach(() => {
  ending.clear()
  for (const { socket } of clients.splice(0)) socket.destroy()
})

async function head(more: Readonly<Record<string, string>> = {}): Promise<string> {
  const authorization = await site.sign({ replicable_name: 'widget', replicable_id: large })
  return requestHead('GET', `/api/v4/geo/retrieve/widget/${large}`, { authorization, ...more })
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
  },
)
