/** How a command ends, the same for all of them. */
export const EXIT = Object.freeze({
  /** It was done, and the answer is good. */
  ok: 0,
  /** It was done, and the answer is no: something is bad, failed or not ready. */
  no: 1,
  /** It could not be done: wrong usage, wrong configuration, a database that does not answer. */
  notDone: 2,
})

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]
