import type { Knex } from 'knex'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { consumeEvents } from '../../lib/event/consume.ts'
import { registryVerification } from '../../lib/registry/registry-verification.ts'
import { SYNC_STATE as S } from '../../lib/registry/sync-state.ts'
import type { Verdict } from '../../lib/verification/tracker.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addRegistryRow, untyped } from '../support/fixture-rows.ts'
import { recordingLogger } from '../support/recording-logger.ts'
import { until } from '../support/until.ts'

const widgets = untyped(declareReplicables('unused').widgets)
// The first in the registry has the higher key: whatever else rows may be ordered by, it is not that.
const FIRST = '2'
const SECOND = '1'
// As they come to who writes them: in another order than they lie in the registry.
const IDS = [SECOND, FIRST]

let databases: SpecDatabases
beforeAll(async () => {
  databases = await createSpecDatabases()
})
afterAll(() => databases.destroy())

/** Two rows, the first of which lies behind the second: a scan of the table meets them in the wrong order as well. */
async function addRows(verificationState: number): Promise<void> {
  const { tracking } = databases
  await tracking('widget_registry').delete()
  for (const id of [FIRST, SECOND]) {
    const columns = { state: S.synced, blob_key: id, bytes: 5, verification_state: verificationState }
    await addRegistryRow(tracking, widgets, id, columns)
  }
  await putFirstLast()
}

async function putFirstLast(): Promise<void> {
  await databases.tracking('widget_registry').where({ widget_id: FIRST }).increment('bytes', 1)
}

/** Each makes its rows, and returns what then writes to them. */
const WRITERS: [who: string, prepare: () => Promise<(trx: Knex.Transaction) => Promise<unknown>>][] = [
  [
    'who has hashed copies',
    async () => {
      await addRows(V.pending)
      const tracker = registryVerification(databases.standby)
      const claimed = await databases.tracking.transaction((trx) => tracker.claim(trx, widgets, IDS.length))
      expect(claimed).toHaveLength(IDS.length)
      await putFirstLast()
      const verdicts = IDS.map((id): Verdict => ({ id, outcome: 'disabled' }))
      return (trx) => tracker.record(trx, widgets, claimed, verdicts)
    },
  ],
  [
    'who reads of new checksums',
    async () => {
      await addRows(V.disabled)
      const { standby: replica } = databases
      const context = { replica, replicables: new Map([['widget', widgets]]), logger: recordingLogger() }
      const events = IDS.map((recordId, position) => ({
        id: String(position + 1),
        xactId: '1',
        replicableName: 'widget',
        eventName: 'checksum_succeeded' as const,
        recordId,
        createdAt: '2026-11-26 08:00:00+00',
        traceparent: null,
      }))
      return (trx) => consumeEvents(trx, { ...context, selection: () => null }, events)
    },
  ],
]

describe('Of several rows that others may be writing, the first in the registry is waited for, and none is held meanwhile:', () => {
  it.each(WRITERS)('%s', async (_, prepare) => {
    const { tracking } = databases
    const write = await prepare()
    const blocker = await tracking.transaction()
    await blocker('widget_registry').where({ widget_id: FIRST }).forUpdate().select('id')
    const writing = tracking.transaction(write)
    try {
      await until(() => someoneWaits(tracking))
      const free = await tracking('widget_registry').where({ widget_id: SECOND }).forUpdate().skipLocked().select('id')
      expect(free).toHaveLength(1)
    } finally {
      await blocker.rollback()
      await writing
    }
  })
})

async function someoneWaits(db: Knex): Promise<boolean> {
  const { rows } = await db.raw(
    `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
  )
  return rows.length > 0
}
