import type { Knex } from 'knex'
import { loadKnownBlobs } from '../../lib/blob/known-blob.ts'
import { type Replicable, sharingStore } from '../../lib/blob/replicable.ts'
import { systemClock } from '../../lib/clock.ts'
import { bounded } from '../../lib/databases.ts'
import { insertEvents, insertHostEvent } from '../../lib/event/event-log.ts'
import { followEvents } from '../../lib/event/follow.ts'
import { type Lease, Leases } from '../../lib/lease.ts'
import { type ClaimedRow, claimRows, typesToSync } from '../../lib/registry/claims.ts'
import { registryVerification } from '../../lib/registry/registry-verification.ts'
import {
  claimRemovals,
  finishRemovals,
  keysInUse,
  keysOf,
  type RemovalRow,
  typesToRemove,
} from '../../lib/registry/removal.ts'
import { Signals } from '../../lib/signals.ts'
import type { DownloadContext } from '../../lib/sync/batch.ts'
import { type Findings, noFindings } from '../../lib/sync/findings.ts'
import { finish } from '../../lib/sync/finish.ts'
import { requestChecksum } from '../../lib/verification/await-checksum.ts'
import { primaryVerification } from '../../lib/verification/primary-tracker.ts'
import type { ClaimedRecord, Verdict, VerificationTracker } from '../../lib/verification/tracker.ts'
import { verificationLeaseOf } from '../../lib/verification/verify.ts'
import { BACKLOG, type GrownSite, SITE } from './grown-site.ts'

/** Blobs of a batch. */
export const BATCH = 100

/** Takes one batch a step further, and throws where not all of it was done. */
export type Step = () => Promise<void>

const LOGGER = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }
const LIMITS = { rows: BATCH, byteBudget: 4 * 1024 * 1024 }
const CAPACITY = 100_000

/** The way of a blob, step by step as the two sites take it, but for the bytes: nothing is hashed, sent or written. */
export async function grownWay(site: GrownSite): Promise<{
  way: Readonly<Record<string, Step>>
  /** Each answers with the types that have work. */
  looks: Readonly<Record<string, () => Promise<readonly Replicable[]>>>
}> {
  const { main, standby, tracking, types, busy, avatars, caughtUp } = site
  const leases = new Leases('00000000-0000-4000-8000-000000000001', systemClock)
  const onPrimary = primaryVerification(main, (trx, { name }, ids) =>
    insertEvents(
      trx,
      name,
      'checksum_succeeded',
      ids.map((recordId) => ({ recordId })),
    ),
  )
  const onSecondary = registryVerification(standby)
  const hashing = hashingSteps(leases, main, onPrimary)
  const verifying = hashingSteps(leases, tracking, onSecondary)
  const context = { siteName: SITE, tracking, replica: standby, replicables: byName(types), logger: LOGGER }
  const follow = () => followEvents({ ...context, selection: () => null })
  // The first look only notes from where on events are read.
  await follow()
  await disableUnnamed(main, onPrimary, avatars)
  const hashingAvatars = hashingSteps(leases, main, onPrimary)
  let fetching: { lease: Lease; rows: readonly ClaimedRow[] } | null = null
  let removing: { lease: Lease; rows: readonly RemovalRow[] } | null = null

  const way: Record<string, Step> = {
    async publish() {
      await publishBatch(main, busy)
      await caughtUp()
    },
    hashClaim: () => hashing.claim(busy),
    async hashRecord() {
      await hashing.record()
      await caughtUp()
    },
    async columnsClaim() {
      const values = Array(BATCH).fill({ name: 'checked', file_path: 'avatar/new' })
      await main('avatars').insert(values)
      await hashingAvatars.claim(avatars)
    },
    columnsRecord: () => hashingAvatars.record(),
    async events() {
      const before = await lastOf(tracking, busy)
      for (let more = true; more; ) ({ more } = await follow())
      requireBatch('registered', await countAfter(tracking, busy, before))
    },
    async claim() {
      const request = { kind: 'sync', capacity: CAPACITY }
      fetching = await leases.claim(tracking, request, busy.name, (trx, id) => claimRows(trx, busy, id, LIMITS))
      requireBatch('claimed', fetching?.rows.length)
    },
    async synced() {
      if (!fetching) throw new Error('Nothing was claimed')
      const batch = { replicable: busy, ...fetching, startedAtMs: performance.now() }
      await finish(withoutBytes(site, leases), batch, await receivedOf(standby, busy, fetching.rows))
      leases.forget(fetching.lease)
      requireBatch('synced', await syncedOf(tracking, busy, fetching.rows))
    },
    verifyClaim: () => verifying.claim(busy),
    verifyRecord: () => verifying.record(),
    async removeClaim() {
      const request = { kind: 'removal', capacity: CAPACITY }
      removing = await leases.claim(tracking, request, busy.name, (trx, id) => claimRemovals(trx, busy, id, BATCH))
      requireBatch('claimed to be removed', removing?.rows.length)
    },
    async removed() {
      if (!removing) throw new Error('Nothing was claimed to be removed')
      const { lease, rows } = removing
      const gone = await tracking.transaction(async (trx) => {
        const inUse = await keysInUse(trx, sharingStore(types, busy), keysOf(rows), lease.id)
        if (inUse.size > 0) throw new Error(`${inUse.size} files that nobody uses are said to be in use`)
        const gone = await finishRemovals(trx, busy, lease.id, rows)
        await leases.release(trx, lease)
        return gone
      })
      leases.forget(lease)
      requireBatch('removed', gone.length)
    },
  }
  const looks: Record<string, () => Promise<readonly Replicable[]>> = {
    lookToHash: () => onPrimary.waiting(main, [...types, avatars]),
    lookToFetch: () => typesToSync(tracking, types),
    lookToVerify: () => onSecondary.waiting(tracking, types),
    lookToRemove: () => typesToRemove(tracking, types),
  }
  return { way, looks }
}

/** What there was to do is gone from both sides, but for what failed and is not due. What was dead by then was vacuumed. */
export async function emptyBacklog({ main, tracking, busy, settledRows, caughtUp }: GrownSite): Promise<void> {
  const { names, table } = busy
  const [firstFailed, lastFailed] = [settledRows + 4 * BACKLOG + 1, settledRows + 5 * BACKLOG]
  const isDone = (key: string) => `${key} > ${settledRows} and ${key} not between ${firstFailed} and ${lastFailed}`
  await tracking.raw(`delete from ?? where ${isDone(names.foreignKey)}`, [names.registryTable])
  await main.raw(`delete from ?? where ${isDone('id')}`, [table])
  await tracking('geo_leases').delete()
  for (const db of [main, tracking]) await db.raw('vacuum')
  await caughtUp()
}

/** As the primary does by itself when the type is declared. */
async function disableUnnamed(main: Knex, tracker: VerificationTracker, avatars: Replicable): Promise<void> {
  while ((await tracker.waiting(main, [avatars])).length > 0) {
    const claimed = await main.transaction((trx) => tracker.claim(trx, avatars, BATCH))
    if (claimed.length > 0) throw new Error('A row without a file was claimed')
  }
  await main.raw('vacuum analyze avatars')
}

function hashingSteps(leases: Leases, db: Knex, tracker: VerificationTracker) {
  let claimed: { replicable: Replicable; lease: Lease; rows: readonly ClaimedRecord[] } | null = null
  return {
    async claim(replicable: Replicable): Promise<void> {
      const request = { kind: verificationLeaseOf(replicable), capacity: CAPACITY }
      const found = await leases.claim(db, request, replicable.name, (trx) => tracker.claim(trx, replicable, BATCH))
      claimed = found && { replicable, ...found }
      requireBatch('claimed to be hashed', found?.rows.length)
    },
    async record(): Promise<void> {
      if (!claimed) throw new Error('Nothing was claimed to be hashed')
      const { replicable, lease, rows } = claimed
      const plans = await tracker.plan(replicable, rows)
      const verdicts = plans.map((plan): Verdict => {
        if (plan.key === null) throw new Error(`Record ${plan.id} has nothing to be hashed`)
        const hex = BigInt(plan.id).toString(16).padStart(16, '0')
        return { id: plan.id, outcome: 'succeeded', digest: plan.expected ?? { algorithm: plan.algorithm, hex } }
      })
      const written = await bounded(db, async (trx) => {
        if (!(await leases.hold(trx, lease))) throw new Error('The lease was lost')
        const written = await tracker.record(trx, replicable, rows, verdicts)
        await leases.release(trx, lease)
        return written
      })
      leases.forget(lease)
      requireBatch('recorded', written.length)
    },
  }
}

const WRITER = Object.freeze({ siteName: 'tokyo', epoch: 0 })

/** As hosts do: a row, its event and its state in one transaction; here a hundred of them in one. */
async function publishBatch(main: Knex, type: Replicable): Promise<void> {
  await main.transaction(async (trx) => {
    for (let number = 0; number < BATCH; number += 1) {
      const [row] = await trx(type.table)
        .insert({ name: 'w', file_path: trx.raw('gen_random_uuid()') })
        .returning('id')
      await requestChecksum(trx, main, type, row.id, 'created')
      await insertHostEvent(trx, WRITER, type.name, 'created', { recordId: row.id })
    }
  })
}

async function receivedOf(replica: Knex, type: Replicable, rows: readonly ClaimedRow[]): Promise<Findings> {
  const findings = noFindings()
  const ids = rows.map(({ id }) => id)
  for (const { id, key, version } of (await loadKnownBlobs(replica, type, ids)).values()) {
    if (key === null) throw new Error(`Record ${id} has no file`)
    findings.rowVersions.set(id, version)
    const file = { temporaryPath: '', notePath: null, bytes: 10_240, expected: null, stored: null, folders: [] }
    findings.received.push({ outcome: 'received', id, key, ...file })
  }
  return findings
}

/** Threads that have given every file its name already. */
function withoutBytes({ standby, tracking, types }: GrownSite, leases: Leases): DownloadContext {
  const threads = {
    place: async ({ blobs }: { blobs: readonly unknown[] }) => blobs.map(() => ({ outcome: 'placed', digest: null })),
  }
  const context = {
    replica: standby,
    tracking,
    replicables: types,
    leases,
    threads,
    clock: systemClock,
    logger: LOGGER,
  }
  return {
    ...context,
    selection: () => null,
    signals: new Signals(LOGGER),
    verificationAsked: () => undefined,
  } as unknown as DownloadContext
}

function byName(types: readonly Replicable[]): Map<string, Replicable> {
  return new Map(types.map((type) => [type.name, type]))
}

async function lastOf(tracking: Knex, { names }: Replicable): Promise<string> {
  const found = await tracking(names.registryTable).max<{ checked: string }>('id as checked').first()
  return found?.checked ?? '0'
}

async function countAfter(tracking: Knex, { names }: Replicable, last: string): Promise<number> {
  const added = tracking(names.registryTable).where('id', '>', last)
  const found = await added.count<{ checked: string }>('* as checked').first()
  return Number(found?.checked)
}

async function syncedOf(tracking: Knex, { names }: Replicable, rows: readonly ClaimedRow[]): Promise<number> {
  const query = tracking(names.registryTable).whereIn(
    'id',
    rows.map(({ registryId }) => registryId),
  )
  return (await query.where({ state: 2 }).select('id as checked')).length
}

function requireBatch(what: string, rows: number | undefined): void {
  if (rows !== BATCH) throw new Error(`${rows ?? 'No'} rows were ${what}, not ${BATCH}`)
}
