import type { Replicable } from '../blob/replicable.ts'
import { SYNC_CLASSES, type SyncClass } from '../registry/claims.ts'

/** A round of turns: three batches in five are led by new rows, one by due retries, one by backfill. */
const LEADERS: readonly SyncClass[] = ['new', 'retry', 'new', 'backfill', 'new']

/**
 * Which class of rows leads the next batch of a type. The leader fills the batch first and the others follow in their order,
 * so an empty class gives its turn away, and none starves, not even where every batch is a single large blob. Each process
 * counts for itself: the shares add up over all of them.
 */
export class ClassTurns {
  readonly #taken = new Map<string, number>()

  /** The classes in the order in which the next batch of the type is filled. */
  orderFor({ name }: Replicable): readonly SyncClass[] {
    const leader = LEADERS[(this.#taken.get(name) ?? 0) % LEADERS.length]
    return SYNC_CLASSES.toSorted((a, b) => Number(b === leader) - Number(a === leader))
  }

  /** A batch was claimed: the next turn begins. */
  taken({ name }: Replicable): void {
    this.#taken.set(name, (this.#taken.get(name) ?? 0) + 1)
  }
}
