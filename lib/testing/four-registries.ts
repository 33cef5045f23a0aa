import type { Bench } from './bench.ts'
import type { MadeRow } from './factories.ts'
import { registryOf } from './subject.ts'

/** What the suites of the finder and of the resolver look for (GB.M.8): every moment is another one, so that each order is. */
export interface FourRegistries {
  readonly synced: MadeRow
  readonly verifiedFirst: MadeRow
  readonly pending: MadeRow
  readonly verifiedLast: MadeRow
}

export async function fourRegistries({ make, caughtUp }: Bench): Promise<FourRegistries> {
  const synced = await make.registry({ sync: 'synced', columns: { last_synced_at: at(3) } })
  const verifiedFirst = await make.registry({
    sync: 'synced',
    verification: 'succeeded',
    columns: { last_synced_at: at(2), verified_at: at(4) },
  })
  const pending = await make.registry()
  const verifiedLast = await make.registry({
    sync: 'synced',
    verification: 'succeeded',
    columns: { last_synced_at: at(1), verified_at: at(5) },
  })
  await caughtUp()
  return { synced, verifiedFirst, pending, verifiedLast }
}

const at = (minute: number): string => `2024-02-29T10:0${minute}:00Z`

/** The id of the registry row of a record. */
export async function registryIdOf(bench: Bench, { id }: Pick<MadeRow, 'id'>): Promise<string> {
  return String((await registryOf(bench, id))['id'])
}
