import type { Blob } from './blob.ts'
import type { Model, ModelRow } from './model.ts'
import { type Observation, observe, type Recorded } from './observe.ts'
import { nameOf } from './types.ts'
import { mustHold } from './violation.ts'
import type { World } from './world.ts'

const SYNCED = 2

/** What holds after every single command, whatever is still to be done. */
export async function checkAtAnyTime(model: Model, world: World): Promise<void> {
  const before = model.seen
  const now = await observe(world)
  checkPrimaryFolder(model, now)
  checkFinalNames(model, now)
  checkNothingLost(model, now)
  checkRecorded(model, now, before)
  checkGoodCopies(model, now, before)
  checkSwitchedOff(model, world, now)
  mustHold(now.registryRows === now.registered.size, 'one registry row for a record', () => 'a record has two')
  model.seen = now
}

function checkPrimaryFolder(model: Model, now: Observation): void {
  for (const key of new Set([...model.files.keys(), ...now.primaryFiles.keys()])) {
    mustHold(
      model.files.get(key) === now.primaryFiles.get(key),
      "nobody but the host writes the primary's files",
      () => key,
    )
  }
}

/** Promise 1. */
function checkFinalNames(model: Model, { copies }: Observation): void {
  for (const [key, copy] of copies) {
    if (model.spoiledCopies.get(key) === copy) continue
    model.spoiledCopies.delete(key)
    const whole = model.ever.get(key)?.has(copy) ?? false
    mustHold(
      whole,
      'a file under its final name is whole',
      () => `${key} has ${copy.bytes.length} bytes that the primary never had`,
    )
  }
}

/** Promise 2. A row whose removal was asked for may have lost its file already. */
function checkNothingLost(model: Model, { registered, copies }: Observation): void {
  for (const row of registered.values()) {
    if (row.state !== SYNCED || row.going) continue
    const there = row.key !== null && (copies.has(row.key) || model.spoiledCopies.get(row.key) === null)
    mustHold(there, 'a synced row has its file', () => `${nameOf(row)} is synced, and there is no ${row.key}`)
  }
}

/** Promise 8: what is recorded of an immutable file stays as it is for as long as the row has that file. */
function checkRecorded(model: Model, now: Observation, before: Observation | null): void {
  for (const row of model.rows) {
    const digest = now.recorded.get(nameOf(row))?.digest
    if (!digest || row.key === null) continue
    const versions = [...(model.ever.get(row.key) ?? [])]
    mustHold(
      versions.some((blob) => blob.hex[digest.algorithm] === digest.hex),
      'a recorded checksum is one of bytes that were there',
      () => `${nameOf(row)} has ${digest.hex}`,
    )
  }
  if (!before) return
  for (const row of model.rows) {
    const [was, is] = [before, now].map(({ recorded }) => recorded.get(nameOf(row))?.digest?.hex)
    // What is recorded of a row whose file was taken goes with the next pass over all rows.
    if (row.key === null || model.isMutable(row) || was === undefined || row.changedSinceSeen) continue
    mustHold(
      was === is,
      'no failure clears or replaces a recorded checksum',
      () => `${nameOf(row)}: ${was}, then ${is}`,
    )
  }
  for (const row of model.rows) row.changedSinceSeen = false
}

/** Promise 8: a copy that fits the recorded checksum is never replaced by another. */
function checkGoodCopies(model: Model, now: Observation, before: Observation | null): void {
  if (!before) return
  for (const row of model.rows) {
    if (row.key === null || model.isMutable(row) || isContested(model, row, now)) continue
    const digest = before.recorded.get(nameOf(row))?.digest
    const [was, is] = [before.copies.get(row.key), now.copies.get(row.key)]
    if (!was || !is || !fits(was, digest) || !fits(was, now.recorded.get(nameOf(row))?.digest)) continue
    const spoiled = model.spoiledCopies.get(row.key) === is
    mustHold(was === is || spoiled, 'a good copy is not overwritten', () => `${nameOf(row)}: ${row.key}`)
  }
}

export function fits(blob: Blob, digest: Recorded['digest'] | undefined): boolean {
  return !!digest && blob.hex[digest.algorithm] === digest.hex
}

/** Rows with different checksums of one file: it was spoiled between the recording of the two. */
export function isContested(model: Model, row: ModelRow, { recorded }: Observation): boolean {
  if (row.key === null) return false
  const digests = model.usersOf(row.key).map((user) => recorded.get(nameOf(user))?.digest?.hex)
  return new Set(digests.filter((hex) => hex !== undefined)).size > 1
}

/** GB.N: with the flag off there are no requests, and no registry rows but of records that were announced before. */
function checkSwitchedOff(model: Model, world: World, { registered }: Observation): void {
  for (const name of world.server.asked.splice(0)) {
    mustHold(model.flag(name as ModelRow['type']), 'no requests for a type that is off', () => name)
  }
  for (const row of model.rows) {
    mustHold(row.everOn || !registered.has(nameOf(row)), 'no registry rows for a type that is off', () => nameOf(row))
  }
}
