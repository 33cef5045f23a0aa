import { join } from 'node:path'
import { TYPE_NAMES } from '../checks/scene.ts'
import { hashOf } from '../hash-of.ts'
import type { Entry, RecordType } from '../history.ts'
import { currentOf, Ledger, nameOf } from '../ledger.ts'
import { ifThere } from '../watcher.ts'
import type { SiteName, Stage } from './stage.ts'

/** What a site that was promoted and one that was demoted said, against what is in the rows and the files. */

export interface SaidLoss {
  readonly type: string
  readonly id: string
  readonly finding: string
}

export interface SaidUnarrived {
  readonly type: string
  readonly id: string
  readonly event: string
}

const TYPE_OF: Readonly<Record<string, RecordType>> = Object.freeze({ widget: 'widgets', gadget: 'gadgets' })

const nameOfSaid = ({ type, id }: { type: string; id: string }): string => {
  const table = TYPE_OF[type]
  if (!table) throw new Error(`There is no type ${type}`)
  return nameOf(table, id)
}

/** When each write was acknowledged, by the clock of this machine. */
export class Acknowledged {
  readonly #at = new Map<string, number>()

  readonly add = (entry: Entry): void => {
    if (entry.kind === 'published' || entry.kind === 'replaced' || entry.kind === 'deleted')
      this.#at.set(nameOf(entry.type, entry.id), Date.now())
  }

  atMs(name: string): number {
    return this.#at.get(name) ?? 0
  }
}

/** The rows with a file, by record. */
export async function keysOf(stage: Stage, site: SiteName): Promise<Map<string, string>> {
  const keys = new Map<string, string>()
  for (const type of TYPE_NAMES) {
    const rows = await stage.main<{ id: string; key: string }>(
      site,
      `select id::text as id, file_path as key from ${type} where file_path is not null`,
    )
    for (const { id, key } of rows) keys.set(nameOf(type, id), key)
  }
  return keys
}

/** Records whose last acknowledged write is not in these rows. */
export function notArrived(ledger: Ledger, keys: ReadonlyMap<string, string>): string[] {
  return ledger.records
    .filter(({ isUncertain }) => !isUncertain)
    .filter((record) => {
      const key = keys.get(nameOf(record.type, record.id))
      return record.isDeleted ? key !== undefined : key !== currentOf(record).key
    })
    .map(({ type, id }) => nameOf(type, id))
}

/** Of what has arrived, exactly what is listed is lost. */
export async function judgeLosses(
  ledger: Ledger,
  keys: ReadonlyMap<string, string>,
  blobsDir: string,
  losses: readonly SaidLoss[],
): Promise<{ violations: string[]; lost: string[] }> {
  const listed = new Set(losses.filter(({ finding }) => finding !== 'unproven').map(nameOfSaid))
  const violations: string[] = []
  const lost: string[] = []
  for (const [name, key] of keys) {
    const file = await ifThere(() => hashOf(join(blobsDir, key)))
    const isThere = file !== null && file.sha256 === ledger.versionOf(key)?.sha256
    if (!isThere) lost.push(name)
    if (!isThere && !listed.has(name)) violations.push(`${name} (${key}) is lost, and the promotion does not list it`)
    if (isThere && listed.has(name)) violations.push(`${name} (${key}) is there, and the promotion calls it lost`)
  }
  return { violations, lost }
}

/** What was acknowledged and had not arrived is listed, and nothing that had; none of it is from before the last replay. */
export function judgeUnarrived(
  ledger: Ledger,
  keys: ReadonlyMap<string, string>,
  acknowledged: Acknowledged,
  said: readonly SaidUnarrived[],
  replayedAt: string | null,
): string[] {
  const listed = new Set(said.map(nameOfSaid))
  const missing = new Set(notArrived(ledger, keys))
  const known = new Map(ledger.records.map((record) => [nameOf(record.type, record.id), record]))
  const violations: string[] = []
  for (const name of missing) {
    if (!listed.has(name)) violations.push(`${name} had not arrived, and \`geo demote\` does not list it`)
    if (replayedAt === null || acknowledged.atMs(name) < Date.parse(replayedAt))
      violations.push(`${name} had not arrived, and was acknowledged before the last replay, at ${replayedAt}`)
  }
  for (const name of listed) {
    const record = known.get(name)
    // One that came and went in that time is not there either, and rightly listed.
    if (record && !record.isUncertain && !record.isDeleted && !missing.has(name))
      violations.push(`${name} had arrived, and \`geo demote\` lists it`)
  }
  return violations
}

/** For 10,000 blobs. */
const PLANNED_WITHIN_S = 30

/** It takes no longer than that, and nothing that was written is lost, nor comes after the seal. */
export function judgePlanned({ seconds, sealed }: { readonly seconds: number; readonly sealed: boolean }): string[] {
  return [
    ...(seconds > PLANNED_WITHIN_S ? [`a planned failover took ${seconds.toFixed(1)} s`] : []),
    ...(sealed ? [] : ['a planned promotion was not sealed']),
  ]
}

/** What the host has after a promotion: the rows that had arrived. */
export function ledgerOf(before: Ledger, keys: ReadonlyMap<string, string>): Ledger {
  const ledger = new Ledger()
  for (const [name, key] of keys) {
    const version = before.versionOf(key)
    if (!version) throw new Error(`${name} names ${key}, which nobody stored`)
    const [type, id] = name.split('/') as [RecordType, string]
    ledger.add({ kind: 'published', type, id, version })
  }
  return ledger
}
