import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { expect } from 'vitest'
import { encodeDigest } from '../../lib/blob/digest.ts'
import { insertPromotion } from '../../lib/failover/promotion-table.ts'
import { settle } from '../../lib/testing/settle.ts'
import { geoGraphql } from '../../lib/view/graphql/index.ts'
import { Draw, seedOfRun } from './draw.ts'
import { addHostRow, addRegistryRow } from './fixture-rows.ts'
import { type FoundRoute, fuzzedHost, listening, routesOf } from './fuzzed-host.ts'
import { fuzzedRequest } from './fuzzed-request.ts'
import { digestOf } from './verifying-site.ts'
import { createWatchedSites } from './watched-sites.ts'

const AT_ONCE = 16
const HUNG_MS = 30_000
const READ_BYTES = 64 * 1024
const RESTORED_EVERY = 200
const MOST_WRONG = 10
/** Of a promotion of rome some time ago. */
const EPOCH = 5001
/** A claim of a later one that may be true fences a primary for good, so only the secondary is told such. */
const OTHER_EPOCHS = [0, 1, EPOCH - 1, EPOCH + 10_000_000, -1, 1.5, 2 ** 31, 2 ** 53, '1', null, true, [], { epoch: 1 }]
const LATER_EPOCHS = [EPOCH + 1, EPOCH + 5000]
/** What a failure inside would show. */
const INSIDE = /node_modules|\.[jt]s:\d+|error at or near|syntax error at|Cannot read prop/

/** A primary and a secondary with all of their doors open to whoever asks, and somebody who sends them anything. */
export interface Fuzz {
  /** Sends requests to both, the same for the same seed, as long as `goOn` says so. */
  run(seed: number, goOn: (sent: number) => boolean): Promise<FuzzTally>
  /** What there is to send anything to. */
  readonly routes: readonly FoundRoute[]
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
  // One is there as a copy, and the others come from the primary.
  await writeFile(join(paris.root, 'a'), await readFile(join(root, 'a')))
  await databases
    .tracking('widget_registry')
    .where({ widget_id: ids[0] })
    .update({
      state: 2,
      error_code: null,
      blob_key: 'a',
      bytes: 5000,
      verification_state: 2,
      verification_checksum: encodeDigest(await digestOf(await readFile(join(root, 'a')))),
    })
  await settle(rome, ['backfill-states', 'verify-primary'])
  await sites.gatherAll()
  const servers = [
    { ...(await listening(fuzzedHost(rome, widgets))), otherEpochs: OTHER_EPOCHS },
    { ...(await listening(fuzzedHost(paris.assembly, widgets))), otherEpochs: [...OTHER_EPOCHS, ...LATER_EPOCHS] },
  ] as const
  const [{ url: romeUrl }, { url: parisUrl }] = servers
  await databases.main('geo_nodes').where({ name: 'rome' }).update({ url: romeUrl, epoch: EPOCH })
  await databases.main('geo_nodes').where({ name: 'paris' }).update({ url: parisUrl })
  await databases.main.transaction((trx) =>
    insertPromotion(trx, {
      epoch: EPOCH,
      siteName: 'rome',
      formerSiteName: 'paris',
      replayedAt: null,
      sealed: false,
      arrivedBelow: '700',
    }),
  )
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
    routes: routesOf(servers[0].app),
    async run(seed, goOn) {
      const draw = new Draw(seed)
      const byStatus: Record<string, number> = {}
      const wrong: string[] = []
      const signers = rome.sites.all.map((site) => ({
        siteId: site.id,
        accessKey: site.accessKey,
        secret: rome.sites.secretOf(site),
      }))
      let sent = 0
      const goesOn = (): boolean => goOn(sent) && wrong.length < MOST_WRONG
      const one = async (): Promise<void> => {
        const nowS = Math.floor(paris.clock.nowMs() / 1000)
        const { port, otherEpochs } = draw.of(servers)
        const { bytes, isWhole } = fuzzedRequest(draw, { nowS, signers, ids, epoch: EPOCH, otherEpochs })
        sent += 1
        const text = await send(port, bytes, isWhole)
        const [, status = 'none'] = /^(?:HTTP\/1\.1 100 Continue\r\n\r\n)?HTTP\/1\.1 (\d{3}) /.exec(text) ?? []
        byStatus[status] = (byStatus[status] ?? 0) + 1
        // That it may go on is no answer yet.
        const isAnswered = status !== 'none' && status !== '100'
        if (status === '500' || (!isAnswered && isWhole) || INSIDE.test(withoutEchoes(text))) {
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
