import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { type AssembledSite, assembleSecondary } from '../support/assembled-site.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addRegistryRow, untyped } from '../support/fixture-rows.ts'

const GIBIBYTE = 2 ** 30
const gadgets = untyped(declareReplicables('unused').gadgets)

let databases: SpecDatabases
let site: AssembledSite

beforeAll(async () => {
  databases = await createSpecDatabases()
  site = await assembleSecondary(databases, { secondary: { filesMaxCapacity: 1000 } })
})
afterAll(async () => {
  await site?.close()
  await databases.destroy()
})
beforeEach(async () => {
  for (const table of ['widget_registry', 'gadget_registry', 'geo_leases']) await databases.tracking(table).delete()
})

/** So many rows of each class, each of the given size; the key of a row tells its class. */
async function fill(counts: { fresh: number; retry: number; backfill: number }, bytes: number | null): Promise<void> {
  await databases.tracking.raw(
    `insert into widget_registry (widget_id, created_at, state, retry_count, retry_at, backfill, bytes)
     select 300000 + n, now(), 0, 0, null, true, :bytes::bigint from generate_series(1, :backfill) n union all
     select 200000 + n, now(), 3, 1, now() - n * interval '1 second', false, :bytes from generate_series(1, :retry) n union all
     select 100000 + n, now(), 0, 0, null, false, :bytes from generate_series(1, :fresh) n`,
    { ...counts, bytes },
  )
}

const classOf = ({ id }: { id: string }) => ['new', 'retry', 'backfill'][Math.floor(Number(id) / 100_000) - 1]

async function claimClasses(): Promise<string[]> {
  const batch = await site.parts.sources.sync.claim()
  return (batch?.rows ?? []).map((row) => classOf(row) ?? '')
}

const countsOf = (classes: readonly string[]) => ({
  new: classes.filter((name) => name === 'new').length,
  retry: classes.filter((name) => name === 'retry').length,
  backfill: classes.filter((name) => name === 'backfill').length,
})

describe('Claims take new rows before due retries before backfill', () => {
  it('within a batch', async () => {
    await fill({ fresh: 20, retry: 20, backfill: 500 }, null)
    const batch = await site.parts.sources.sync.claim()
    const leases = await databases.tracking('geo_leases')
    expect(leases).toHaveLength(1)
    expect(countsOf((batch?.rows ?? []).map((row) => classOf(row) ?? ''))).toEqual({ new: 20, retry: 20, backfill: 60 })
  })

  it('with a share for each, so that none starves behind another that never ends', async () => {
    await fill({ fresh: 1000, retry: 1000, backfill: 1000 }, null)
    const leaders: string[] = []
    for (let batch = 0; batch < 10; batch += 1) leaders.push(...new Set(await claimClasses()))
    expect(countsOf(leaders)).toEqual({ new: 6, retry: 2, backfill: 2 })
  })

  it('with a share for each also where every batch is a single large blob', async () => {
    await fill({ fresh: 20, retry: 20, backfill: 20 }, 5 * GIBIBYTE)
    const taken: string[] = []
    for (let batch = 0; batch < 10; batch += 1) {
      const classes = await claimClasses()
      expect(classes).toHaveLength(1)
      taken.push(...classes)
    }
    expect(countsOf(taken)).toEqual({ new: 6, retry: 2, backfill: 2 })
  })

  it('and an empty class gives its turn away', async () => {
    await fill({ fresh: 0, retry: 0, backfill: 1000 }, null)
    for (let batch = 0; batch < 10; batch += 1) expect(await claimClasses()).toHaveLength(100)
    expect(await site.parts.sources.sync.claim()).toBeNull()
  })
})

describe('Types take turns', () => {
  it('so that one with a huge backlog does not starve another, which is found within a quarter of a second', async () => {
    await fill({ fresh: 20_000, retry: 0, backfill: 0 }, null)
    await claimClasses()
    for (const digit of '123') {
      await addRegistryRow(databases.tracking, gadgets, `${digit.repeat(8)}-0000-4000-8000-000000000000`)
    }
    site.clock.advance(250)
    const types: string[] = []
    for (let batch = 0; batch < 3; batch += 1) {
      types.push((await site.parts.sources.sync.claim())?.replicable.name ?? '')
    }
    expect(types).toContain('gadget')
    const left = databases.tracking('gadget_registry').where({ state: SYNC_STATE.pending })
    expect(await left).toEqual([])
  })
})

it('A process begins no more transfers at once than its threads take, whatever its site may have open', () => {
  const { sync } = site.parts.sources
  expect(sync.limit()).toBe(15)
})
