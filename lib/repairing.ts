import { z } from 'zod'
import type { Assembly } from './assembly.ts'
import { parseRecordId, type Replicable } from './blob/replicable.ts'
import { chosenTypes } from './chosen-types.ts'
import { GeoError } from './errors.ts'
import { type RepairedRecord, repairType } from './failover/repair.ts'
import type { Lease } from './lease.ts'
import { whileRenewing } from './renewal.ts'
import { unrecordedFailures } from './verification/damaged.ts'

/** What is asked of a repair. */
export interface RepairRequest {
  /** Declared types or their names, all of them immutable. Default: all immutable ones whose flag is on. */
  readonly types?: readonly (Replicable<never> | string)[] | undefined
  /** Keys of records of the one type that is given, 1 to 10,000, whatever their state. Default: all that are known to be damaged. */
  readonly ids?: readonly string[] | undefined
  /** Looks what is damaged and changes nothing; no site is asked. Default false. */
  readonly dryRun?: boolean | undefined
  /** Called for each record. */
  readonly onRecord?: ((type: string, record: RepairedRecord) => void) | undefined
}

/** What a repair has done for one type. */
export interface RepairResult {
  readonly type: string
  readonly counts: Readonly<Record<RepairedRecord['outcome'], number>>
  /** The records, at most 10,000 of them. */
  readonly records: readonly RepairedRecord[]
  /** Failed, with no checksum recorded to tell a right copy by: not looked at; counted up to 10,000. 0 where `ids` are given. */
  readonly unrecorded: number
}

const MOST_IDS = 10_000
const MOST_RECORDS = 10_000

const requestShape = z.strictObject({
  types: z.array(z.union([z.string(), z.object({ name: z.string() }).transform(({ name }) => name)])).optional(),
  ids: z.array(z.string()).min(1).max(MOST_IDS).optional(),
  dryRun: z.boolean().default(false),
  onRecord: z
    .custom<NonNullable<RepairRequest['onRecord']>>((value) => typeof value === 'function')
    .default(() => () => undefined),
})

type Parts = Pick<
  Assembly,
  'settings' | 'byName' | 'databases' | 'sites' | 'gate' | 'leases' | 'loops' | 'repairContext'
>

/** Repairs one type after another. One process of the primary at a time. */
export async function repair(assembly: Parts, input: RepairRequest): Promise<RepairResult[]> {
  const { settings, databases, sites, leases, loops } = assembly
  const parsed = requestShape.safeParse(input)
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
    throw new GeoError('INVALID_REQUEST', problems.join('; '))
  }
  const { types, dryRun, onRecord } = parsed.data
  await sites.ensureFresh()
  sites.requireMe()
  sites.requirePrimary()
  const replicables = immutableTypes(assembly, types)
  const ids = parsed.data.ids ? requireIds(replicables, parsed.data.ids) : null
  return whileRenewing(leases, databases.mainHeartbeat, settings, async () => {
    const lease = await alone(assembly)
    const work = async (): Promise<RepairResult[]> => {
      const results: RepairResult[] = []
      for (const replicable of replicables) {
        const counts = { repaired: 0, good: 0, damaged: 0, gone: 0, failed: 0 }
        const records: RepairedRecord[] = []
        await repairType(assembly.repairContext, { replicable, ids, dryRun }, lease, (record) => {
          counts[record.outcome] += 1
          if (records.length < MOST_RECORDS) records.push(record)
          onRecord(replicable.name, record)
        })
        const unrecorded = ids ? 0 : await unrecordedFailures(databases.main, replicable)
        results.push({ type: replicable.name, counts, records, unrecorded })
      }
      return results
    }
    return leases.workingAlone(databases.main, lease, work).finally(() => loops.wake('verify-primary'))
  })
}

/** @throws GeoError `REPAIR_RUNNING` */
async function alone({ databases, leases }: Parts): Promise<Lease> {
  const lease = await leases.take(databases.main, { kind: 'repair', capacity: 1 })
  if (!lease) throw new GeoError('REPAIR_RUNNING', 'Another process of this site repairs')
  return lease
}

function immutableTypes(parts: Parts, names: readonly string[] | undefined): Replicable[] {
  const chosen = chosenTypes(parts, names)
  const mutable = chosen.find((replicable) => !replicable.immutable)
  if (names && mutable) {
    throw new GeoError('INVALID_REQUEST', `The bytes of ${mutable.name} may change: no copy can be told to be right`)
  }
  return chosen.filter((replicable) => replicable.immutable)
}

function requireIds(replicables: readonly Replicable[], ids: readonly string[]): string[] {
  const [replicable, another] = replicables
  if (!replicable || another) throw new GeoError('INVALID_REQUEST', 'ids need exactly one type')
  return ids.map((id) => {
    const parsed = parseRecordId(replicable, id)
    if (parsed === null) {
      throw new GeoError('INVALID_RECORD_ID', `${JSON.stringify(id)} is not a key of ${replicable.name}`)
    }
    return parsed
  })
}
