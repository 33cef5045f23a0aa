import { expect, it } from 'vitest'
import type { StateMachine } from '../../lib/state-machine.ts'

export type Columns = Record<string, unknown>

/** A function of the SDK that moves rows into a state. */
export interface Door<State> {
  readonly name: string
  readonly to: State
  /** The states from which it does so. */
  readonly from: readonly State[]
  /** What the row has to be besides, for this door to look at it at all. */
  readonly given?: Columns
  open(): Promise<unknown>
  /** What becomes of the columns of a row that is moved. All others stay. */
  changes(from: State): Columns
  /** What becomes of one that is not moved. Default: nothing. */
  readonly otherwise?: Columns
}

export interface TransitionTable<State extends string> {
  readonly machine: StateMachine<State>
  /** Asked for in each spec, when the databases are there. */
  doors(): readonly Door<State>[]
  /** Pairs that the machine allows and no door takes, each with the reason. */
  readonly withoutDoor: readonly { from: readonly State[]; to: State; why: string }[]
  /** Makes the one row anew, in a state and with every other column away from its default. */
  start(from: State, given: Columns): Promise<void>
  row(): Promise<Columns | undefined>
}

/**
 * One spec for every pair of states of the machine: each door into the second state is opened on a row in the first, and the
 * whole row is compared. A pair that is legal needs a door or a reason, one that is illegal may have none.
 */
export function itGoesThroughEveryPair<State extends string>(table: TransitionTable<State>): void {
  const { machine, withoutDoor } = table
  const pairs = machine.states.flatMap((from) => machine.states.map((to) => ({ from, to })))
  it.each(pairs.map(({ from, to }) => ({ from, to, verdict: machine.may(from, to) ? 'legal' : 'illegal' })))(
    'from $from to $to is $verdict',
    async ({ from, to }) => {
      const here = table.doors().filter((door) => door.to === to)
      const leads = here.some((door) => door.from.includes(from))
      const excused = withoutDoor.some((pair) => pair.to === to && pair.from.includes(from))
      // Exactly one of them holds.
      expect([leads, excused, !machine.may(from, to)].filter(Boolean)).toHaveLength(1)
      expect(here.length).toBeGreaterThan(0)
      for (const door of here) {
        await table.start(from, door.given ?? {})
        const before = await table.row()
        await door.open()
        const changes = door.from.includes(from) ? door.changes(from) : (door.otherwise ?? {})
        expect(await table.row(), door.name).toEqual({ ...before, ...changes })
      }
    },
  )
}

/** Matches a moment so many seconds from now, give or take five. */
export function secondsAhead(seconds: number): object {
  return {
    asymmetricMatch: (value: unknown) =>
      value instanceof Date && Math.abs(value.getTime() - Date.now() - seconds * 1000) < 5000,
    toString: () => `SecondsAhead<${seconds}>`,
    toAsymmetricMatcher: () => `SecondsAhead<${seconds}>`,
  }
}
