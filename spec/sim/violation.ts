/** A promise that did not hold. */
export class Violation extends Error {
  override readonly name = 'Violation'

  constructor(promise: string, details: string) {
    super(`${promise}: ${details}`)
  }
}

export function mustHold(condition: boolean, promise: string, details: () => string): asserts condition {
  if (!condition) throw new Violation(promise, details())
}
