/** A machine of states: their numbers in the database, and from which of them each may be reached. */
export interface StateMachine<
  State extends string,
  Sources extends Readonly<Record<State, readonly State[]>> = Readonly<Record<State, readonly State[]>>,
> {
  readonly states: readonly State[]
  may(from: State, to: State): boolean
  /** The state that has a number in the database. */
  named(number: number): State
  /**
   * A transition as SQL: what its statement sets and on which rows. Statements take both from here, so that one which the map
   * does not have does not compile.
   */
  step<To extends State>(from: Sources[To][number], to: To): { readonly set: string; readonly where: string }
}

/** The machine of one smallint column. */
export function stateMachine<State extends string, const Sources extends Readonly<Record<State, readonly State[]>>>(
  column: string,
  numbers: Readonly<Record<State, number>>,
  sources: Sources,
): StateMachine<State, Sources> {
  const states = Object.freeze(Object.keys(numbers) as State[])
  return Object.freeze({
    states,
    may: (from: State, to: State) => sources[to].includes(from),
    named: (number: number) => {
      const state = states.find((each) => numbers[each] === number)
      if (state === undefined) throw new Error(`${column} = ${number} is no state that this version knows`)
      return state
    },
    step: (from: State, to: State) => ({
      set: `${column} = ${numbers[to]}`,
      where: `${column} = ${numbers[from]}`,
    }),
  })
}
