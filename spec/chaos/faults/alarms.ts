/**
 * What a site says of itself, look by look, while it is not well. An alarm comes once and ends once: one that comes and goes with
 * every look would wake somebody each time.
 */
export class Alarms {
  readonly #beganMs = performance.now()
  #now: ReadonlySet<string> = new Set()
  readonly #rises = new Map<string, number>()
  readonly #looks: ReadonlySet<string>[] = []
  readonly #told: string[] = []
  readonly #hints = new Set<string>()

  /** One look: the codes that are said now; none of a site that is well. Whatever is said of one that is well is a hint. */
  note(codes: readonly string[], hints: readonly string[] = []): void {
    for (const hint of hints) this.#hints.add(hint)
    const now = new Set(codes)
    for (const code of now) if (!this.#now.has(code)) this.#rises.set(code, (this.#rises.get(code) ?? 0) + 1)
    const named = [...now].sort().join('+') || 'healthy'
    if (this.#told.at(-1)?.endsWith(` ${named}`) !== true)
      this.#told.push(`${((performance.now() - this.#beganMs) / 1000).toFixed(0)} s ${named}`)
    this.#now = now
    this.#looks.push(now)
  }

  get text(): string {
    return this.#told.join(', ')
  }

  /**
   * Whether none is said any more, and none was said twice. `due`: one of these codes must have been said, all of them as one alarm.
   * `never`: what must not have been said at all, not as a hint either.
   */
  judge(due: ReadonlySet<string> | null, never: readonly string[] = []): string[] {
    const violations = [...this.#now].map((code) => `still says ${code}`)
    for (const code of never)
      if (this.#rises.has(code) || this.#hints.has(code)) violations.push(`says ${code}, which must not be said now`)
    for (const [code, times] of this.#rises)
      if (times > 1) violations.push(`says ${code} ${times} times, well in between`)
    if (due === null) return violations
    const isSaid = this.#looks.map((codes) => [...codes].some((code) => due.has(code)))
    const alarms = isSaid.filter((now, at) => now && !isSaid[at - 1]).length
    if (alarms !== 1) violations.push(`has given ${alarms} alarms of ${[...due].join(' or ')}, and not one`)
    return violations
  }
}
