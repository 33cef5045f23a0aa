import type { Knex } from 'knex'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import type { SourcePage } from '../../lib/blob/source-page.ts'
import { consumeEvents } from '../../lib/event/consume.ts'
import { noteVersions, removeUnused, resyncMoved, wakeUnverified } from '../../lib/registry/mend.ts'
import { cancelRemovals } from '../../lib/registry/registry.ts'
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

/** Room that became free may lie before the other row. */
async function putFirstLast(): Promise<void> {
  const { tracking } = databases
  for (;;) {
    await tracking('widget_registry').where({ widget_id: FIRST }).increment('bytes', 1)
    const [behind] = await tracking('widget_registry').orderBy('ctid', 'desc').pluck('widget_id')
    if (String(behind) === FIRST) return
  }
}

const READ = IDS.map((id) => ({ id, storedKey: id, version: '7' }))
const DIGEST = `{${IDS.map(() => String.raw`"\\x0101"`).join()}}`
const EVERYTHING = { after: null, upTo: null }
const EMPTY_PAGE = { page: { keys: '{}', checksums: '{}' } as SourcePage, ...EVERYTHING }
const PAGE = { page: { keys: `{${IDS.join()}}`, checksums: DIGEST } as SourcePage, ...EVERYTHING }

function withCopies(write: (trx: Knex.Transaction) => Promise<unknown>) {
  return async () => {
    await addRows(V.disabled)
    return write
  }
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
  ['who notes how rows were read', withCopies((trx) => noteVersions(trx, widgets, READ))],
  ['who has moved files fetched again', withCopies((trx) => resyncMoved(trx, widgets, READ))],
  [
    'who has copies hashed that were never compared',
    withCopies((trx) => wakeUnverified(trx, widgets, PAGE, 'disabled')),
  ],
  [
    'who removes what no row names',
    withCopies((trx) => removeUnused(trx, widgets, { ...EMPTY_PAGE, asOf: '2999-01-01' }, 10)),
  ],
  [
    'who keeps what came back',
    async () => {
      await addRows(V.disabled)
      await databases.tracking('widget_registry').update({ removal_requested_at: '2026-01-01' })
      await putFirstLast()
      return (trx) => cancelRemovals(trx, widgets, IDS)
    },
  ],
  [
    'who gives back what was to be hashed',
    async () => {
      await addRows(V.started)
      return (trx) => registryVerification(databases.standby).giveBack(trx, widgets, IDS)
    },
  ],
]

describe('Of several rows that others may be writing, the first in the registry is waited for, and none is held meanwhile:', () => {
  it.each(WRITERS)('%s', async (_, prepare) => {
    const { tracking } = databases
    const write = await prepare()
    const blocker = await tracking.transaction()
    await blocker('widget_registry').where({ widget_id: FIRST }).forUpdate().select('id')
    const writing = tracking.transaction(async (trx) => {
      // As they lie in the table: an index of so few rows may happen to have them in their order.
      for (const way of ['indexscan', 'indexonlyscan', 'bitmapscan']) await trx.raw(`set local enable_${way} = off`)
      await write(trx)
    })
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
