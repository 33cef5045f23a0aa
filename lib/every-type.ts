import type { Replicable } from './blob/replicable.ts'
import { isAway } from './database-failures.ts'

/**
 * Does something for one type after the other. What fails for one is thrown once all had their turn; where it is the database that
 * is away, at once.
 */
export async function forEveryType(
  replicables: readonly Replicable[],
  act: (replicable: Replicable) => Promise<void>,
): Promise<void> {
  const failures: unknown[] = []
  for (const replicable of replicables) {
    try {
      await act(replicable)
    } catch (reason) {
      if (isAway(reason)) throw reason
      failures.push(reason)
    }
  }
  if (failures.length > 0) throw failures[0]
}
