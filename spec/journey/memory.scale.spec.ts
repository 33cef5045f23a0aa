import { readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { newBlobKey } from '../../fixtures/widget-app/blob-key.ts'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { UPLOAD_COLUMNS } from '../../fixtures/widget-app/upload-table.ts'
import { createGeo } from '../../lib/index.ts'
import type { ForkedSite } from '../support/forked-site.ts'
import { writeSeededFile } from '../support/seeded-file.ts'
import { PRIMARY, startTwoSites, type TwoSites } from '../support/two-sites.ts'
import { until } from '../support/until.ts'

const GIBIBYTE = 1024 ** 3
const BYTES = 5 * GIBIBYTE
const SEED = 20_261_124
const SAMPLE_EVERY_MS = 100
const WARM = 8
const WARM_BYTES = 40 * 1024 * 1024
const IDLE_SAMPLES = 100
const MOST_ABOVE_IDLE_MIB = 64
const HALF_HOUR_MS = 1_800_000

let sites: TwoSites

beforeAll(async () => {
  sites = await startTwoSites({ flags: { widgets: true, gadgets: true } })
})
afterAll(() => sites?.stop())

/** What a process holds in memory now, its threads included, in MiB. */
async function residentMib({ pid }: ForkedSite): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024
}

/** Samples both sites until it is stopped; the most of each. */
function watchMemory(): { readonly most: Map<string, number>; stop(): void } {
  const most = new Map<string, number>()
  const timer = setInterval(() => {
    for (const site of [sites.primary, sites.secondary]) {
      residentMib(site).then(
        (mib) => most.set(site.name, Math.max(mib, most.get(site.name) ?? 0)),
        () => undefined,
      )
    }
  }, SAMPLE_EVERY_MS)
  return { most, stop: () => clearInterval(timer) }
}

/** The collector of garbage makes it rise and fall also when there is nothing to do. */
async function meanWhileIdle(): Promise<Map<string, number>> {
  const sums = new Map<string, number>()
  for (let sample = 0; sample < IDLE_SAMPLES; sample += 1) {
    for (const site of [sites.primary, sites.secondary]) {
      sums.set(site.name, (sums.get(site.name) ?? 0) + (await residentMib(site)) / IDLE_SAMPLES)
    }
    await sleep(SAMPLE_EVERY_MS)
  }
  return sums
}

/** A gadget whose file is written here, as a script of the host would. */
async function addGadget(bytes: number): Promise<string> {
  const { gadgets } = declareReplicables(sites.primary.blobsDir)
  const key = newBlobKey('gadgets', `${bytes}.bin`)
  await writeSeededFile(join(sites.primary.blobsDir, key), SEED, bytes)
  const { main } = sites.databases
  const geo = createGeo({
    siteName: PRIMARY,
    mainDb: main,
    replicables: [gadgets],
    encryptionKey: sites.encryptionKey,
    features: { isEnabled: () => true },
    work: false,
  })
  await main.transaction(async (trx) => {
    const [row] = await trx('gadgets').insert({ name: key, file_path: key }).returning(UPLOAD_COLUMNS)
    await geo.replicator(gadgets).created(row, trx)
  })
  await geo.stop()
  return key
}

async function untilVerified(rows: number): Promise<void> {
  const verified = () => sites.databases.tracking('gadget_registry').where({ state: 2, verification_state: 2 })
  await until(async () => (await verified()).length === rows, HALF_HOUR_MS)
}

it('Memory of each site stays within 64 MiB of its idle value while a 5 GiB file passes through it', async () => {
  // Idle is a process that has worked before: all its threads and connections are up.
  for (let warm = WARM; warm <= 2 * WARM; warm += WARM) {
    await Promise.all(Array.from({ length: WARM }, (_, file) => addGadget(WARM_BYTES + warm + file)))
    await untilVerified(warm)
  }
  const idle = await meanWhileIdle()
  const watch = watchMemory()
  const startedAtMs = performance.now()
  const key = await addGadget(BYTES)
  const writtenMs = performance.now() - startedAtMs
  await untilVerified(2 * WARM + 1)
  watch.stop()

  const seconds = (performance.now() - startedAtMs - writtenMs) / 1000
  const above = [...watch.most].map(([name, most]) => [name, Math.round(most - (idle.get(name) ?? 0))] as const)
  console.log(
    `5 GiB verified in ${seconds.toFixed(0)} s; MiB idle ${JSON.stringify([...idle])}, above ${JSON.stringify(above)}`,
  )
  expect((await stat(join(sites.secondary.blobsDir, key))).size).toBe(BYTES)
  for (const [, mib] of above) expect(mib).toBeLessThanOrEqual(MOST_ABOVE_IDLE_MIB)
  await rm(join(sites.primary.blobsDir, key))
})
