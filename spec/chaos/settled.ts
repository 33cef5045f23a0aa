import { type Query, SYNCED, TYPE_NAMES, TYPES, VERIFIED } from './checks/scene.ts'
import { currentOf, type Ledger } from './ledger.ts'

interface Copy {
  readonly id: string
  readonly key: string | null
}

const NAMED = 5
const DONE = `state = ${SYNCED} and verification_state = ${VERIFIED} and removal_requested_at is null and superseded_keys is null`

/** Whether there can be no doubt that something is left: for whoever asks again and again while the machine has better to do. */
export async function isBehind(ledger: Ledger, tracking: Query): Promise<boolean> {
  let verified = 0
  for (const type of TYPE_NAMES) {
    const [counted] = await tracking<{ done: number; all: number }>(
      `select count(*) filter (where ${DONE})::int as done, count(*)::int as all from ${TYPES[type].registry}`,
    )
    if (!counted || counted.done < counted.all) return true
    verified += counted.done
  }
  return verified < ledger.liveCount
}

/** Null where a secondary has all that was acknowledged, verified, and nothing more to do; else what is left, for people. */
export async function stateOf(ledger: Ledger, tracking: Query): Promise<string | null> {
  const left: string[] = []
  let unfinished = 0
  for (const type of TYPE_NAMES) {
    const { registry, key } = TYPES[type]
    const copies = await tracking<Copy>(`select ${key}::text as id, blob_key as key from ${registry} where ${DONE}`)
    const has = new Map(copies.map((copy) => [copy.id, copy.key]))
    for (const record of ledger.live()) {
      if (record.type === type && has.get(record.id) !== currentOf(record).key) left.push(`${type}/${record.id}`)
    }
    const [open] = await tracking<{ count: number }>(
      `select count(*)::int as count from ${registry} where not (${DONE})`,
    )
    unfinished += open?.count ?? 0
  }
  if (left.length === 0 && unfinished === 0) return null
  const some = left.slice(0, NAMED).join(', ')
  return `${left.length} rows are not verified (${some}); ${unfinished} registry rows are unfinished`
}
