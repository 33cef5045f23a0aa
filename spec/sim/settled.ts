import { CORRUPT_PREFIX } from '../../lib/blob/primary-checksum.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { VERIFICATION_STATE } from '../../lib/verification/verification-state.ts'
import { checkAtAnyTime, fits, isContested } from './at-any-time.ts'
import { startRun } from './commands/operator.ts'
import { unfinishedFiles } from './disk.ts'
import type { Model, ModelRow } from './model.ts'
import { type Observation, observe } from './observe.ts'
import { nameOf, TYPE_NAMES, type TypeName } from './types.ts'
import { mustHold } from './violation.ts'
import type { World } from './world.ts'

const HOUR_S = 3600
const DAY_S = 24 * HOUR_S
// Longer than leases, passes and pauses last, and shorter than a pass over all keys rests.
const A_WHILE_S = 45
const LONGEST_RETRY_S = 5 * HOUR_S
const REVERIFICATION_S = 8 * DAY_S
const MOST_ROUNDS = 4

/** All that events alone bring about, but for the verification of copies: its mismatches would mend what an event should have. */
export async function settleByEvents(model: Model, world: World): Promise<void> {
  await calm(model, world)
  await whileAbandoned(world, async () => {
    await world.pass(A_WHILE_S)
    await world.primary.settle(HASHING)
    await world.secondary.settle(JOBS_BY_EVENTS)
  })
}

/**
 * A batch that is abandoned for a lock that was not to be had leaves its rows to the end of its lease, which the clock of the
 * simulation has to reach.
 */
async function whileAbandoned({ primary, secondary }: World, work: () => Promise<void>): Promise<void> {
  const count = () =>
    [primary, secondary]
      .flatMap(({ logger }) => logger.lines)
      .filter(({ message }) => message === 'A batch was abandoned').length
  for (let round = 0; round < MOST_ROUNDS; round += 1) {
    const before = count()
    await work()
    if (count() === before) return
  }
}

/** All is calm again: nothing fails any more, what is due comes due, every file is hashed on both sites. */
export async function settleBoth(model: Model, world: World): Promise<void> {
  const { primary, secondary } = world
  await calm(model, world)
  await secondary.settle(['cut-expiring', 'end-dead-leases', 'events'])
  await world.pass(REVERIFICATION_S)
  for (const type of TYPE_NAMES) await startRun(world, { action: 'reverify', type, site: 'secondary' })
  await whileAbandoned(world, async () => {
    await world.pass(A_WHILE_S)
    await primary.settle()
    await secondary.settle()
  })
  for (let round = 1; round < MOST_ROUNDS && (await somethingFails(world)); round += 1) {
    await world.pass(LONGEST_RETRY_S)
    await primary.settle(HASHING)
    await secondary.settle(FETCHING)
  }
}

/** What brings about verdicts on the primary, and on a secondary whatever a retry can lead to. */
const HASHING = ['end-dead-leases', 'bulk', 'backfill-states', 'wake-named', 'verify-primary']
const FETCHING = ['end-dead-leases', 'events', 'reconcile', 'bulk', 'sync', 'remove', 'verify']

const JOBS_BY_EVENTS = ['sites', 'heartbeat', 'cut-expiring', 'end-dead-leases', 'bulk', 'events', 'sync', 'remove']

/** Whether another attempt may change anything. */
async function somethingFails({ main, tracking }: World): Promise<boolean> {
  for (const db of [main, tracking]) {
    const { rows } = await db.raw(db === main ? FAILING_ORIGINALS : FAILING_COPIES)
    if (rows[0].failing) return true
  }
  return false
}

// What still waits does so because a whole site was held up, as when nothing answers in time on a busy machine.
const { pending, failed } = VERIFICATION_STATE
const FAILING_ORIGINALS = `select exists (select from widget_states where verification_state = ${failed})
  or exists (select from gadgets where verification_state = ${failed} and file_path is not null)
  or exists (select from sketch_states where verification_state = ${failed}) as failing`
const FAILING_COPIES = `select ${TYPE_NAMES.map(
  (type) => `exists (select from ${type}_registry where state <> ${SYNC_STATE.synced}
    or verification_state in (${pending}, ${failed}) or removal_requested_at is not null or superseded_keys is not null)`,
).join(' or ')} as failing`

async function calm(model: Model, world: World): Promise<void> {
  world.moments.clear()
  world.server.failOnce(null)
  await world.held?.rollback()
  world.held = null
  model.held = null
  for (const site of [world.primary, world.secondary]) site.clock.setWall(0)
  await world.primary.geo.sites.update('paris', { enabled: true })
}

/** Promise 4: what events have told has been done, without any reconciliation. */
export async function checkByEvents(model: Model, world: World): Promise<void> {
  await checkAtAnyTime(model, world)
  if (model.seen) checkTold(model, model.seen)
  await world.secondary.settle(['verify'])
  await checkAtAnyTime(model, world)
  const now = model.seen
  if (!now) return
  checkNothingStarted(now)
  checkTold(model, now)
  for (const type of TYPE_NAMES) {
    const wanted = model.wanted(type)
    checkRegistered(now, type, wanted)
    if (!model.spoiled) for (const row of wanted) checkVerified(now, row)
  }
}

function checkTold(model: Model, now: Observation): void {
  for (const type of TYPE_NAMES) {
    for (const row of model.wanted(type)) {
      const found = now.registered.get(nameOf(row))
      if (found?.state !== SYNC_STATE.synced) continue
      const situation = () => JSON.stringify({ row, found, recorded: now.recorded.get(nameOf(row)) })
      mustHold(found.key === row.key, 'no event is lost: the copy lies under the key of the row', situation)
      if (model.spoiled) continue
      const copy = now.copies.get(row.key ?? '')
      mustHold(
        copy === model.files.get(row.key ?? ''),
        'no event is lost: the copy has the bytes of the row',
        situation,
      )
    }
  }
}

function checkVerified(now: Observation, row: ModelRow): void {
  const found = now.registered.get(nameOf(row))
  const recorded = now.recorded.get(nameOf(row))
  if (found?.state !== SYNC_STATE.synced) return
  // A process that died over it twice has put the checksum, here or there, off to a retry that is not due yet.
  const told = recorded?.state === VERIFICATION_STATE.succeeded
  const verified = found.verificationState === VERIFICATION_STATE.succeeded
  const putOff = found.verificationState === VERIFICATION_STATE.failed
  mustHold(verified || putOff || !told, 'no event is lost: the copy is verified', () =>
    JSON.stringify({ row, found, recorded }),
  )
}

/** Promise 5: what a dead process had in hand has been taken up, long before any timeout. */
function checkNothingStarted({ registered, recorded }: Observation): void {
  for (const row of registered.values()) {
    const started = row.state === SYNC_STATE.started || row.verificationState === VERIFICATION_STATE.started
    mustHold(!started && row.leaseId === null, 'work of a dead process is taken up', () => JSON.stringify(row))
  }
  for (const row of recorded.values()) {
    mustHold(row.state !== VERIFICATION_STATE.started, 'work of a dead process is taken up', () => JSON.stringify(row))
  }
}

/** What must be true of every type whose flag is on once both sites have settled. */
export async function checkSettled(model: Model, world: World): Promise<void> {
  const before = model.seen
  await checkAtAnyTime(model, world)
  const now = model.seen
  if (!now) return
  for (const type of TYPE_NAMES) {
    if (!model.flag(type)) continue
    const wanted = model.wanted(type)
    checkRegistered(now, type, wanted)
    for (const row of wanted) {
      checkAtRest(now, row)
      checkCopy(model, now, row)
      if (before) checkKept(model, before, now, row)
    }
  }
  await checkOrphans(world)
  await checkLeases(world)
}

function checkRegistered({ registered }: Observation, type: TypeName, wanted: readonly ModelRow[]): void {
  const found = [...registered.values()].filter((row) => row.type === type).map(nameOf)
  mustHold(
    sameSet(found, wanted.map(nameOf)),
    'a registry row for every wanted record, and for no other',
    () => `registered ${found.join(', ') || 'none'}; wanted ${wanted.map(nameOf).join(', ') || 'none'}`,
  )
}

function checkAtRest({ registered }: Observation, row: ModelRow): void {
  const found = registered.get(nameOf(row))
  const rests =
    found &&
    (found.state === SYNC_STATE.synced || found.state === SYNC_STATE.failed) &&
    found.verificationState !== VERIFICATION_STATE.started &&
    !(found.state === SYNC_STATE.synced && found.verificationState === VERIFICATION_STATE.pending) &&
    found.leaseId === null &&
    !found.going &&
    found.supersededKeys.length === 0
  mustHold(rests === true, 'no row is left half-way', () => JSON.stringify(found))
}

function checkCopy(model: Model, now: Observation, row: ModelRow): void {
  const name = nameOf(row)
  const key = row.key ?? ''
  const recorded = now.recorded.get(name)
  const found = now.registered.get(name)
  const original = model.files.get(key)
  const copy = now.copies.get(key)
  const situation = () => JSON.stringify({ key, original: original?.hex, copy: copy?.hex, recorded, found })
  const verified = found?.state === SYNC_STATE.synced && found.verificationState === VERIFICATION_STATE.succeeded
  if (verified) {
    const right = found.key === key && !!copy && fits(copy, recorded?.digest) && fits(copy, found.digest)
    mustHold(right, 'nothing is verified that is wrong', situation)
  }
  if (original && fits(original, recorded?.digest)) {
    mustHold(recorded?.state === VERIFICATION_STATE.succeeded, 'a good file is verified on the primary', situation)
    if (isContested(model, row, now)) return
    mustHold(verified && copy === original, 'every good file has a verified copy', situation)
  } else if (original && !model.isMutable(row)) {
    const reported = recorded?.state === VERIFICATION_STATE.failed && recorded.failure?.startsWith(CORRUPT_PREFIX)
    mustHold(reported === true, 'corruption on the primary is reported', situation)
  } else {
    mustHold(
      !original && recorded?.state === VERIFICATION_STATE.failed,
      'a missing file is reported on the primary',
      situation,
    )
  }
}

/** Promise 8: where the primary has nothing better, a copy that fits the recorded checksum stays. */
function checkKept(model: Model, before: Observation, now: Observation, row: ModelRow): void {
  if (row.key === null || model.isMutable(row) || isContested(model, row, now)) return
  const digest = now.recorded.get(nameOf(row))?.digest
  const [was, is] = [before.copies.get(row.key), now.copies.get(row.key)]
  if (was && fits(was, digest)) mustHold(is === was, 'a good copy is kept', () => `${nameOf(row)}: ${row.key}`)
}

/** What no row names is swept away, and so is what unfinished transfers left. */
async function checkOrphans(world: World): Promise<void> {
  if ((await orphansOf(world)).length === 0) return
  await world.tracking('geo_stores').update({ swept_at: world.tracking.raw("now() - interval '1 year'") })
  await world.secondary.settle(['sweep'])
  const left = await orphansOf(world)
  mustHold(left.length === 0, 'no file without a row', () => left.join(', '))
}

async function orphansOf(world: World): Promise<string[]> {
  const { registered, copies } = await observe(world)
  const used = new Set([...registered.values()].map(({ key }) => key))
  return [...[...copies.keys()].filter((key) => !used.has(key)), ...unfinishedFiles(world.secondary.root)]
}

async function checkLeases({ main, tracking }: World): Promise<void> {
  for (const db of [main, tracking]) {
    const left = await db('geo_leases').whereNotNull('replicable_name')
    mustHold(left.length === 0, 'all leases are given back', () => JSON.stringify(left))
  }
}

function sameSet(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((item) => right.includes(item))
}
