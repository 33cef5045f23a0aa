import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import express from 'express'
import { expect } from 'vitest'
import type { Assembly } from '../../lib/assembly.ts'
import { settle } from '../../lib/testing/settle.ts'
import { geoGraphql } from '../../lib/view/graphql/index.ts'
import { Draw, seedOfRun } from './draw.ts'
import { addHostRow, addRegistryRow } from './fixture-rows.ts'
import { fuzzedRequest } from './fuzzed-request.ts'
import { createWatchedSites } from './watched-sites.ts'

const AT_ONCE = 16
const HUNG_MS = 30_000
const READ_BYTES = 64 * 1024
const RESTORED_EVERY = 200
const MOST_WRONG = 10
/** What a failure inside would show. */
const INSIDE = /node_modules|\.[jt]s:\d+|error at or near|syntax error at|Cannot read prop/

/** A primary and a secondary with all of their doors open to whoever asks, and somebody who sends them anything. */
export interface Fuzz {
  /** Sends requests to both, the same for the same seed, as long as `goOn` says so. */
  run(seed: number, goOn: (sent: number) => boolean): Promise<FuzzTally>
  close(): Promise<void>
}

export interface FuzzTally {
  readonly sent: number
  readonly byStatus: Readonly<Record<string, number>>
  /** What was answered as nothing is to be: 500, the inside of the code, or not at all. */
  readonly wrong: readonly string[]
  /** What the sites logged of themselves as going wrong inside. */
  readonly logged: readonly string[]
}

/** Nothing that is sent, as long as `goOn` says so, is answered as nothing is to be. Returns how often each status came. */
export async function fuzzInVain(fuzz: Fuzz, goOn: (sent: number) => boolean): Promise<FuzzTally['byStatus']> {
  const seed = seedOfRun()
  const { sent, byStatus, wrong, logged } = await fuzz.run(seed, goOn)
  console.log(JSON.stringify({ seed, sent, byStatus }))
  expect(wrong).toEqual([])
  expect(logged).toEqual([])
  return byStatus
}

export async function openFuzz(): Promise<Fuzz> {
  const authorize = () => true
  const sites = await createWatchedSites({
    both: { authorize, metrics: { token: '0123456789abcdef' } },
    rome: { graphql: geoGraphql() },
    paris: { graphql: geoGraphql() },
  })
  const { rome, paris, root } = sites
  const { databases, widgets } = paris
  const ids: string[] = []
  for (const name of ['a', 'b', 'c']) {
    await writeFile(join(root, name), randomBytes(name === 'c' ? 400_000 : 5000))
    const [row] = await databases.main('widgets').insert({ name, file_path: name }).returning('id')
    ids.push(String(row.id))
    await addRegistryRow(databases.tracking, widgets, String(row.id), {
      state: 3,
      error_code: 'FILE_NOT_FOUND',
      retry_count: 2,
    })
  }
  ids.push(await addHostRow(databases.main, widgets))
  await settle(rome, ['backfill-states', 'verify-primary'])
  await sites.gatherAll()
  const servers = [await serve(rome), await serve(paris.assembly)] as const
  const [, { port: parisPort }] = servers
  await databases
    .main('geo_nodes')
    .where({ name: 'paris' })
    .update({ url: `http://127.0.0.1:${parisPort}/` })
  const kept = await databases.main('geo_nodes').select()

  /** Among what is sent are orders that sites are removed, and they are carried out. */
  async function restore(): Promise<void> {
    await databases.main.transaction(async (trx) => {
      await trx('geo_nodes').delete()
      await trx('geo_nodes').insert(kept)
    })
    await databases.main('geo_bulk_runs').delete()
    await databases.tracking('geo_bulk_runs').delete()
    await databases.caughtUp()
    await Promise.all([rome.sites.refresh(), paris.assembly.sites.refresh()])
  }

  await restore()
  return {
    async run(seed, goOn) {
      const draw = new Draw(seed)
      const byStatus: Record<string, number> = {}
      const wrong: string[] = []
      const signers = rome.sites.all.map((site) => ({
        accessKey: site.accessKey,
        secret: rome.sites.secretOf(site),
      }))
      let sent = 0
      const goesOn = (): boolean => goOn(sent) && wrong.length < MOST_WRONG
      const one = async (): Promise<void> => {
        const nowS = Math.floor(paris.clock.nowMs() / 1000)
        const { bytes, isWhole } = fuzzedRequest(draw, { nowS, signers, ids })
        const { port } = draw.of(servers)
        sent += 1
        const text = await send(port, bytes, isWhole)
        const [, status = 'none'] = /^(?:HTTP\/1\.1 100 Continue\r\n\r\n)?HTTP\/1\.1 (\d{3}) /.exec(text) ?? []
        byStatus[status] = (byStatus[status] ?? 0) + 1
        if (status === '500' || (status === 'none' && isWhole) || INSIDE.test(withoutEchoes(text))) {
          wrong.push(`${bytes.toString('latin1').slice(0, 1500)}\n=> ${text.slice(0, 600)}`)
        }
      }
      while (goesOn()) {
        const until = sent + RESTORED_EVERY
        const lane = async (): Promise<void> => {
          while (goesOn() && sent < until) await one()
        }
        await Promise.all(Array.from({ length: AT_ONCE }, lane))
        await restore()
      }
      const logged = paris.logger.lines
        .filter(
          ({ level, fields }) => (level === 'error' && fields['code'] === undefined) || fields['code'] === 'INTERNAL',
        )
        .map(({ fields, message }) => `${JSON.stringify(fields).slice(0, 500)} ${message}`)
      return { sent, byStatus, wrong, logged }
    },
    async close() {
      for (const { server } of servers) {
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      }
      await sites.close()
    },
  }
}

async function serve(site: Assembly): Promise<{ server: Server; port: number }> {
  const server = createServer(express().use(site.router))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { server, port: (server.address() as AddressInfo).port }
}

/** What comes back, as far as it matters. Rejects where nothing does, and the connection stays open. */
function send(port: number, bytes: Buffer, isWhole: boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = []
    let length = 0
    const socket = connect({ port, host: '127.0.0.1' })
    const done = (): void => {
      resolve(Buffer.concat(parts).toString('latin1'))
      socket.destroy()
    }
    socket.setTimeout(HUNG_MS, () =>
      reject(new Error(`No end within ${HUNG_MS} ms of ${bytes.toString('latin1').slice(0, 500)}`)),
    )
    socket.on('data', (part) => {
      parts.push(part)
      length += part.length
      // A stream of events has no end.
      if (length > READ_BYTES || part.includes('text/event-stream')) done()
    })
    socket.on('error', done)
    socket.on('close', done)
    // Whoever ends his side is not answered by Node.
    if (isWhole) socket.write(bytes)
    else socket.end(bytes)
  })
}

/** What was sent may come back in a message. */
function withoutEchoes(text: string): string {
  return text.slice(0, 20_000).replaceAll(/"(?:[^"\\]|\\.)*"/g, (quoted) => (quoted.length > 200 ? '' : quoted))
}
