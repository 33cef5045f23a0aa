import { afterAll, beforeAll, expect, it } from 'vitest'
import { SYNC_STATE } from '../lib/registry/sync-state.ts'
import { ManualClock } from '../lib/testing/manual-clock.ts'
import { VERIFICATION_STATE as V } from '../lib/verification/verification-state.ts'
import { type AssembledSite, assembleSecondary } from './support/assembled-site.ts'
import { createSpecDatabases, type SpecDatabases } from './support/databases.ts'

const clock = new ManualClock()
let databases: SpecDatabases
let site: AssembledSite

beforeAll(async () => {
  databases = await createSpecDatabases()
  site = await assembleSecondary(databases, { options: { clock } })
})
afterAll(async () => {
  await site?.close()
  await databases.destroy()
})

/** How many records the next batch is of, which then takes so long. Their files are missing. */
async function nextBatch(tookMs: number): Promise<number> {
  const { verify } = site.parts.sources
  const batch = await verify.claim()
  if (!batch) throw new Error('Nothing waits')
  clock.advance(tookMs)
  await verify.work(batch)
  return batch.claimed.length
}

it('Batches of verification grow while they are done at once, and shrink where they take long', async () => {
  await databases.tracking.raw(
    `insert into widget_registry (widget_id, created_at, state, blob_key, verification_state)
     select n, now(), ${SYNC_STATE.synced}, 'gone/' || n, ${V.pending} from generate_series(1, 3000) n`,
  )
  const sizes: number[] = []
  for (const tookMs of [0, 0, 0, 0, 1000, 3000, 3000, 3000, 3000]) sizes.push(await nextBatch(tookMs))
  expect(sizes).toEqual([100, 200, 400, 400, 400, 400, 200, 100, 100])
})

it('A batch that is not full says nothing of how large one may be', async () => {
  await databases.tracking('widget_registry').update({ verification_state: V.disabled })
  const pending = (upTo: number) =>
    databases.tracking('widget_registry').where('widget_id', '<=', upTo).update({ verification_state: V.pending })
  await pending(50)
  expect(await nextBatch(0)).toBe(50)
  await pending(3000)
  expect(await nextBatch(0)).toBe(100)
})
