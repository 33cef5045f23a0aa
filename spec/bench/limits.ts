import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { Agent, createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Knex } from 'knex'
import { openDatabases } from './database.ts'
import { bytesOf, warm, writeFile } from './files.ts'
import { type Bench, type Measurement, scaled } from './measurement.ts'
import { median, secondsOf } from './rounds.ts'

const FILES = 5000
const BYTES = 10 * 1024
const MANY_BYTES = 1024 ** 3
const CHUNK = 128 * 1024
const REQUESTS = 10_000
const OPEN_REQUESTS = 10
const COMMITS = 300
const UPDATED_ROWS = 20_000
const ROWS_PER_UPDATE = 100

/** What this machine can do at best of each thing that a blob needs, one after the other in one thread. */
export const limits: Measurement = {
  title: 'what the machine does at best, one thing at a time: nothing of ours is measured',

  async measure(bench: Bench) {
    const databases = await openDatabases()
    try {
      const rates = new Map<string, number[]>()
      for (let round = 0; round <= bench.rounds; round += 1) {
        const measured = {
          ...(await files(bench, round)),
          httpRequestsPerS: await requestsPerS(scaled(bench, REQUESTS)),
          ...(await statements(databases.tracking, bench)),
        }
        bench.say(`${round === 0 ? 'warm-up' : `round ${round}`}: ${JSON.stringify(measured)}`)
        if (round === 0) continue
        for (const [name, rate] of Object.entries(measured)) rates.set(name, [...(rates.get(name) ?? []), rate])
      }
      const figures = Object.fromEntries([...rates].map(([name, each]) => [name, Number(median(each).toPrecision(3))]))
      return { ratio: null, reach: 'none', measured: inWords(figures), reached: true, figures }
    } finally {
      await databases.destroy()
    }
  },
}

function inWords(figures: Readonly<Record<string, number>>): string {
  const { filesCreatedPerS, durableFilesPerS, filesReadPerS, gigabytesReadPerS } = figures
  const { httpRequestsPerS, commitsPerS, rowsUpdatedPerS } = figures
  return (
    `a second: ${filesCreatedPerS} files of 10 KiB made, ${durableFilesPerS} of them durable, ${filesReadPerS} read; ` +
    `${gigabytesReadPerS} GB of a large file read; ${httpRequestsPerS} requests answered; ${commitsPerS} transactions committed; ` +
    `${rowsUpdatedPerS} rows updated`
  )
}

async function files(bench: Bench, round: number): Promise<Record<string, number>> {
  const root = await bench.folders.fresh(`limits-${round}`)
  const count = scaled(bench, FILES)
  const bytes = bytesOf(round, BYTES)
  const create = (name: string, durable: boolean): Promise<number> =>
    secondsOf(async () => {
      for (let first = 0; first < count; first += 100) createSome(join(root, `${name}-${first}`), bytes, durable)
    })
  const createdS = await create('plain', false)
  const durableS = await create('durable', true)
  const names = Array.from({ length: count }, (_, number) => `plain-${Math.floor(number / 100) * 100}/${number % 100}`)
  const readS = await secondsOf(async () => warm(root, names))
  const size = scaled(bench, MANY_BYTES)
  writeFile(join(root, 'large'), size, 1)
  warm(root, ['large'])
  const largeS = await secondsOf(async () => readAll(join(root, 'large')))
  return {
    filesCreatedPerS: count / createdS,
    durableFilesPerS: count / durableS,
    filesReadPerS: count / readS,
    gigabytesReadPerS: size / largeS / 1e9,
  }
}

/** A hundred files under temporary names, on the disk where they are to be, then under their own: as fast as is known (Arrival.handOver). */
function createSome(folder: string, bytes: Buffer, durable: boolean): void {
  mkdirSync(folder)
  const handles = Array.from({ length: 100 }, (_, number) => {
    const path = join(folder, `.${number}`)
    const file = openSync(path, 'wx')
    if (durable) ftruncateSync(file, 0)
    writeSync(file, bytes)
    closeSync(file)
    return durable ? openSync(path, 'r') : null
  })
  for (const file of handles) {
    if (file === null) continue
    fsyncSync(file)
    closeSync(file)
  }
  for (let number = 0; number < 100; number += 1) {
    linkSync(join(folder, `.${number}`), join(folder, String(number)))
    unlinkSync(join(folder, `.${number}`))
  }
  if (!durable) return
  const handle = openSync(folder, 'r')
  fsyncSync(handle)
  closeSync(handle)
}

function readAll(path: string): void {
  const chunk = Buffer.allocUnsafeSlow(CHUNK)
  const file = openSync(path, 'r')
  while (readSync(file, chunk) > 0);
  closeSync(file)
}

/** Of a bare server that answers two bytes, client and server in this thread. */
async function requestsPerS(count: number): Promise<number> {
  const server = createServer((_, response) => response.end('ok'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const agent = new Agent({ keepAlive: true, maxSockets: OPEN_REQUESTS })
  const { port } = server.address() as AddressInfo
  let left = count
  const worker = async (): Promise<void> => {
    for (; left > 0; left -= 1) {
      await new Promise<void>((resolve, reject) => {
        get({ port, host: '127.0.0.1', agent }, (response) => response.resume().on('end', resolve)).on('error', reject)
      })
    }
  }
  try {
    return count / (await secondsOf(() => Promise.all(Array.from({ length: OPEN_REQUESTS }, worker))))
  } finally {
    agent.destroy()
    server.close()
  }
}

/** Commits that wait for the disk; and rows written a hundred to a statement, with three indexes and one of these changed. */
async function statements(db: Knex, bench: Bench): Promise<Record<string, number>> {
  await db.raw('drop table if exists bench_rows')
  await db.raw(
    'create table bench_rows (id bigint primary key, state smallint not null, key text not null, at timestamptz)',
  )
  await db.raw('create index on bench_rows (state)')
  await db.raw('create index on bench_rows (key)')
  const rows = Math.max(ROWS_PER_UPDATE, scaled(bench, UPDATED_ROWS))
  await db.raw(`insert into bench_rows select n, 0, 'key of ' || n from generate_series(1, ?::int) n`, [rows])
  await db.raw('vacuum analyze bench_rows')
  const commits = scaled(bench, COMMITS)
  const commitS = await secondsOf(async () => {
    for (let number = 1; number <= commits; number += 1) {
      await db.raw('update bench_rows set at = clock_timestamp() where id = ?', [number])
    }
  })
  const updateS = await secondsOf(() =>
    db.transaction(async (trx) => {
      for (let first = 1; first <= rows; first += ROWS_PER_UPDATE) {
        await trx.raw('update bench_rows set state = 1 where id >= ? and id < ?', [first, first + ROWS_PER_UPDATE])
      }
    }),
  )
  const updated = await db('bench_rows').where({ state: 1 }).count<{ n: string }>('* as n').first()
  if (Number(updated?.n) !== rows) throw new Error(`${updated?.n} of ${rows} rows were updated`)
  return { commitsPerS: commits / commitS, rowsUpdatedPerS: rows / updateS }
}
