import { SYNCED, TYPE_NAMES, TYPES } from '../checks/scene.ts'
import { rowsOf } from '../databases.ts'
import { currentOf, type Ledger, nameOf } from '../ledger.ts'
import type { World } from '../world.ts'

/** A copy that a secondary calls synced. */
export interface Copy {
  readonly key: string
  /** When it began to come, in words of the database: another moment is another transfer. */
  readonly fetchedAt: string
}

/** All of a secondary, by the names of their records. */
export async function copiesOf({ databases }: Pick<World, 'databases'>, at: number): Promise<Map<string, Copy>> {
  const found = new Map<string, Copy>()
  for (const type of TYPE_NAMES) {
    const { registry, key } = TYPES[type]
    const rows = await rowsOf<Copy & { id: string }>(
      databases.secondaries[at]?.tracking.url ?? '',
      `select ${key}::text as id, blob_key as key, last_synced_at::text as "fetchedAt" from ${registry} where state = ${SYNCED}`,
    )
    for (const { id, ...copy } of rows) found.set(nameOf(type, id), copy)
  }
  return found
}

/** What became of copies that were fetched again, or are none any more, though the host has given their records no other file. */
export function fetchedAgain(
  ledger: Ledger,
  before: ReadonlyMap<string, Copy>,
  after: ReadonlyMap<string, Copy>,
): Map<string, string> {
  const found = new Map<string, string>()
  for (const record of ledger.live()) {
    const name = nameOf(record.type, record.id)
    const [had, has] = [before.get(name), after.get(name)]
    if (!had || had.key !== currentOf(record).key || had.fetchedAt === has?.fetchedAt) continue
    found.set(name, has ? `${name} was whole, and was fetched again` : `${name} was whole, and is not synced any more`)
  }
  return found
}
