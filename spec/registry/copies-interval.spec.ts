import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { assemble } from '../../lib/geo.ts'
import { parseOptions } from '../../lib/options.ts'
import { reverifyOldestCopies } from '../../lib/registry/copies-interval.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { updateSite } from '../../lib/site-table.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addRegistryRow, addSites, ENCRYPTION_KEY, secondsFromNow, untyped } from '../support/fixture-rows.ts'

const declared = declareReplicables('unused')
const widgets = untyped(declared.widgets)
const DAY_S = 86_400

let databases: SpecDatabases

beforeAll(async () => {
  databases = await createSpecDatabases()
  await addSites(databases.main, 'tokyo')
})
afterAll(() => databases.destroy())
beforeEach(() => databases.tracking('widget_registry').truncate())

const copy = (days: number, columns: object = {}) => ({
  state: SYNC_STATE.synced,
  verification_state: V.succeeded,
  verified_at: secondsFromNow(databases.tracking, -days * DAY_S),
  ...columns,
})

async function pending(): Promise<string[]> {
  const rows: { widget_id: string }[] = await databases
    .tracking('widget_registry')
    .where({ verification_state: V.pending })
    .orderBy('id')
  return rows.map((row) => row.widget_id)
}

describe('Copies of a secondary, by an interval of their own,', () => {
  it('are hashed again once their verification is older, and no others', async () => {
    const { tracking } = databases
    const rows = [
      copy(8),
      copy(6),
      copy(8, { verification_state: V.failed }),
      copy(8, { verification_state: V.disabled }),
      copy(8, { state: SYNC_STATE.failed }),
      copy(8, { removal_requested_at: secondsFromNow(tracking, 0) }),
    ]
    for (const [position, columns] of rows.entries()) await addRegistryRow(tracking, widgets, `${position}`, columns)
    expect(await reverifyOldestCopies(tracking, widgets, 7)).toBe(1)
    expect(await pending()).toEqual(['0'])
  })

  it('are spread where many come due together: a hundred at a time, the oldest first', async () => {
    const { tracking } = databases
    await tracking.raw(
      `insert into widget_registry (widget_id, created_at, state, verification_state, verified_at)
       select n, now(), 2, ${V.succeeded}, now() - interval '30 days' - n * interval '1 second' from generate_series(1, 250) n`,
    )
    const taken: number[] = []
    for (let count = -1; count !== 0; taken.push(count)) {
      count = await reverifyOldestCopies(tracking, widgets, 7)
      if (taken.length === 0) expect((await pending())[0]).toBe('151')
    }
    expect(taken).toEqual([100, 100, 50, 0])
  })

  it('are taken faster where a hundred at a time would not do all in a tenth of the interval', async () => {
    const { tracking } = databases
    await tracking.raw(
      `insert into widget_registry (widget_id, created_at, state, verification_state, verified_at)
       select n, now(), 2, ${V.succeeded}, now() - interval '30 days' from generate_series(1, 28800) n`,
    )
    await tracking.raw('analyze widget_registry')
    expect(await reverifyOldestCopies(tracking, widgets, 1)).toBe(200)
  })

  it('rest where the site has no such interval, which is the default', async () => {
    const { main, standby, tracking } = databases
    const assembly = assemble(
      parseOptions({
        siteName: 'tokyo',
        mainDb: standby,
        trackingDb: tracking,
        replicables: [declared.widgets],
        features: { isEnabled: () => true },
        encryptionKey: ENCRYPTION_KEY.toString('hex'),
      }),
    )
    const job = assembly.jobs.find(({ name }) => name === 'reverify-copies')
    const runJob = async () => {
      await databases.caughtUp()
      await assembly.sites.refresh()
      await job?.run(new AbortController().signal)
      return pending()
    }
    try {
      await addRegistryRow(tracking, widgets, '1', copy(1000))
      expect(job?.role).toBe('secondary')
      expect(await runJob()).toEqual([])
      await updateSite(main, 'tokyo', { copiesReverificationIntervalDays: 30 })
      expect(await runJob()).toEqual(['1'])
    } finally {
      await assembly.stop()
    }
  })
})
