import type { Knex } from 'knex'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { boundedByKey } from '../../lib/databases.ts'
import { claimRows } from '../../lib/registry/claims.ts'
import { markFailed, markSynced, markVerified, noteSizes, noteStrayFiles } from '../../lib/registry/marks.ts'
import { noteVersions, resyncMoved } from '../../lib/registry/mend.ts'
import { cancelRemovals, resyncRecords } from '../../lib/registry/registry.ts'
import { wakeVerification } from '../../lib/registry/registry-verification.ts'
import { claimRemovals } from '../../lib/registry/removal.ts'
import { failTimedOutSyncs } from '../../lib/registry/timeouts.ts'
import { recordDisabled, recordFailed, recordSucceeded } from '../../lib/registry/verification-marks.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { changesBatch, fillBehindStatistics } from '../support/empty-statistics.ts'
import { addLease, untyped } from '../support/fixture-rows.ts'

/**
 * A registry whose statistics were gathered while it was empty, and which has filled since: the planner takes it for one row. Each
 * statement on a batch of it has to end within the longest that a statement may take (30 s), which holding each of the rows against
 * each of the batch would not.
 */

const ROWS = 150_000
const IDS = Array.from({ length: 1000 }, (_, position) => String(position * 140 + 1))
const DIGEST = { algorithm: 'sha256', hex: 'ab'.repeat(32) } as const
const AT = '2026-01-01 00:00:00+00'
const widgets = untyped(declareReplicables('unused').widgets)

let databases: SpecDatabases

beforeAll(async () => {
  databases = await createSpecDatabases()
  const { tracking } = databases
  await addLease(tracking, { id: '5' })
  await fillBehindStatistics(
    tracking,
    'widget_registry',
    `insert into widget_registry (widget_id, created_at, state, last_synced_at)
     select n, now(), 2, now() from generate_series(1, ${ROWS}) n`,
  )
})
afterAll(() => databases.destroy())

const STARTED = 'state = 1, lease_id = 5, verification_state = 4'
const HASHING = `state = 2, verification_state = 1, verification_started_at = '${AT}'`
const TO_GO = 'removal_requested_at = now()'
const startedAt = new Map(IDS.map((id) => [id, AT]))
const failures = IDS.map((id) => ({ id, code: 'WORKER_LOST', message: 'm', retryInSeconds: 4 }) as const)
const copies = IDS.map((id) => ({ id, key: 'k', bytes: 1, rowVersion: '1', verifiable: true, digest: DIGEST }))
const read = IDS.map((id) => ({ id, storedKey: null, version: '2' }))

type Act = (trx: Knex.Transaction) => Promise<unknown>
const STATEMENTS: readonly (readonly [name: string, before: string, act: Act])[] = [
  ['claimRows', 'state = 0', (trx) => claimRows(trx, widgets, '5', { rows: 1000, byteBudget: 1 })],
  ['markVerified', STARTED, (trx) => markVerified(trx, widgets, '5', copies)],
  ['markSynced', STARTED, (trx) => markSynced(trx, widgets, '5', copies)],
  ['markFailed', STARTED, (trx) => markFailed(trx, widgets, '5', failures)],
  ['noteStrayFiles', STARTED, (trx) => noteStrayFiles(trx, widgets, copies)],
  ['noteSizes', STARTED, (trx) => noteSizes(trx, widgets, copies)],
  ['resyncRecords', STARTED, (trx) => resyncRecords(trx, widgets, IDS)],
  ['cancelRemovals', TO_GO, (trx) => cancelRemovals(trx, widgets, IDS)],
  ['claimRemovals', TO_GO, (trx) => claimRemovals(trx, widgets, '5', 1000)],
  ['wakeVerification', 'verification_state = 4', (trx) => wakeVerification(trx, widgets, IDS)],
  [
    'recordSucceeded',
    HASHING,
    (trx) =>
      recordSucceeded(
        trx,
        widgets,
        startedAt,
        IDS.map((id) => ({ id, outcome: 'succeeded', digest: DIGEST })),
      ),
  ],
  [
    'recordFailed',
    HASHING,
    (trx) =>
      recordFailed(
        trx,
        widgets,
        startedAt,
        failures.map((failure) => ({ ...failure, outcome: 'failed' })),
      ),
  ],
  [
    'recordDisabled',
    HASHING,
    (trx) =>
      recordDisabled(
        trx,
        widgets,
        startedAt,
        IDS.map((id) => ({ id, outcome: 'disabled' })),
      ),
  ],
  [
    'failTimedOutSyncs',
    `state = 1, lease_id = null, last_synced_at = '${AT}'`,
    (trx) => failTimedOutSyncs(trx, widgets, { timeoutMs: 1, retryInSeconds: 1, limit: 1000 }),
  ],
  ['noteVersions', 'row_version = 1', (trx) => noteVersions(trx, widgets, read)],
  ['resyncMoved', 'row_version = 1', (trx) => resyncMoved(trx, widgets, read)],
]

it.each(STATEMENTS)('%s writes a batch', async (_name, before, act) => {
  const batch = { table: 'widget_registry', key: 'widget_id', ids: IDS, before }
  expect(await changesBatch(databases.tracking, boundedByKey, batch, act)).toBe(true)
})
