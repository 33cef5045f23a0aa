import type { Knex } from 'knex'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { claimRows, SYNC_CLASSES, typesToSync } from '../../lib/registry/claims.ts'
import { registryVerification } from '../../lib/registry/registry-verification.ts'
import { failTimedOutSyncs, failTimedOutVerifications } from '../../lib/registry/timeouts.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addLease, untyped } from '../support/fixture-rows.ts'

const MILLION = 1_000_000
const KINDS = 5
const LIMITS = { rows: 100, byteBudget: 4 * 1024 * 1024 }
const widgets = untyped(declareReplicables('unused').widgets)

let databases: SpecDatabases
let tracking: Knex

beforeAll(async () => {
  databases = await createSpecDatabases()
  tracking = databases.tracking
  await addLease(tracking, { id: '5' })
})
afterAll(() => databases.destroy())

/** So many rows of each kind; the failed ones are due or, the last kind, far from it. */
async function fill(counts: { fresh: number; backfill: number; due: number; later: number; synced: number }) {
  await tracking('widget_registry').truncate()
  const insert = (n: number, columns: string, values: string) =>
    tracking.raw(
      `insert into widget_registry (widget_id, created_at, ${columns})
       select nextval('spec_ids'), now(), ${values} from generate_series(1, ?) n`,
      [n],
    )
  await tracking.raw('create sequence if not exists spec_ids')
  await insert(counts.fresh, 'state', '0')
  await insert(counts.backfill, 'state, backfill', '0, true')
  await insert(counts.due, 'state, retry_count, retry_at', "3, 1, now() - n * interval '1 ms'")
  await insert(counts.later, 'state, retry_count, retry_at', "3, 9, now() + interval '1 hour' + n * interval '1 ms'")
  await insert(counts.synced, 'state, verification_state', '2, 2')
  await tracking.raw('vacuum analyze widget_registry')
}

/** The median of several, so that one checkpoint does not decide. */
async function medianMs(act: () => Promise<unknown>): Promise<number> {
  const times: number[] = []
  for (let time = 0; time < 15; time += 1) {
    const startedAtMs = performance.now()
    await act()
    times.push(performance.now() - startedAtMs)
  }
  return times.sort((a, b) => a - b)[7] ?? Number.NaN
}

const claim = (leader: (typeof SYNC_CLASSES)[number]) =>
  tracking.transaction((trx) =>
    claimRows(trx, widgets, '5', LIMITS, [leader, ...SYNC_CLASSES.filter((other) => other !== leader)]),
  )

async function measure(scale: number): Promise<Record<string, number>> {
  await fill({ fresh: scale, backfill: scale, due: scale, later: scale, synced: scale })
  const measured: Record<string, number> = {}
  for (const leader of SYNC_CLASSES) measured[leader] = await medianMs(() => claim(leader))
  measured['look'] = await medianMs(() => typesToSync(tracking, [widgets]))
  await tracking('widget_registry').whereIn('state', [0]).delete()
  await tracking('widget_registry').where({ state: 3 }).whereRaw('retry_at < now()').delete()
  await tracking.raw('vacuum analyze widget_registry')
  measured['look in vain'] = await medianMs(() => typesToSync(tracking, [widgets]))
  measured['claim in vain'] = await medianMs(() => claim('retry'))
  const timedOut = { timeoutMs: 28_800_000, retryInSeconds: 20, limit: 1000 }
  measured['sweep of syncs'] = await medianMs(() => failTimedOutSyncs(tracking, widgets, timedOut))
  measured['sweep of verifications'] = await medianMs(() => failTimedOutVerifications(tracking, widgets, timedOut))
  return measured
}

/** A table full of what waits to be hashed, of retries that are due, and of retries that are not. */
async function measureHashing(scale: number): Promise<Record<string, number>> {
  await tracking('widget_registry').truncate()
  for (const [columns, values] of [
    ['state, verification_state', '2, 0'],
    ['state, verification_state, verification_retry_at', "2, 3, now() - n * interval '1 ms'"],
    ['state, verification_state, verification_retry_at', "2, 3, now() + interval '1 hour' + n * interval '1 ms'"],
  ]) {
    await tracking.raw(
      `insert into widget_registry (widget_id, created_at, ${columns})
       select nextval('spec_ids'), now(), ${values} from generate_series(1, ?) n`,
      [scale],
    )
  }
  await tracking.raw('vacuum analyze widget_registry')
  const tracker = registryVerification(databases.standby)
  const claimToHash = () => tracking.transaction((trx) => tracker.claim(trx, widgets, LIMITS.rows))
  const measured: Record<string, number> = { claim: await medianMs(claimToHash) }
  measured['look'] = await medianMs(() => tracker.waiting(tracking, [widgets]))
  await tracking('widget_registry').whereRaw('verification_state <> 3 or verification_retry_at < now()').delete()
  await tracking.raw('vacuum analyze widget_registry')
  measured['look in vain'] = await medianMs(() => tracker.waiting(tracking, [widgets]))
  measured['claim in vain'] = await medianMs(claimToHash)
  return measured
}

function expectFlat(small: Record<string, number>, large: Record<string, number>): void {
  console.table({ small, large })
  for (const [what, ms] of Object.entries(large)) {
    const before = small[what] ?? 0
    expect(ms, `${what}: ${ms} ms, with a hundredth of the rows ${before} ms`).toBeLessThan(3 * before + 5)
  }
}

describe('Claims stay flat', () => {
  it('from 10,000 to 1,000,000 rows, whether rows wait, are not due, or there is nothing to do', async () => {
    expectFlat(await measure(MILLION / 100 / KINDS), await measure(MILLION / KINDS))
  })

  it('of copies to be verified too', async () => {
    expectFlat(await measureHashing(Math.round(MILLION / 100 / 3)), await measureHashing(Math.round(MILLION / 3)))
  })
})
