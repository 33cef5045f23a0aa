/**
 * Which rows a secondary holds copies of, as an operator set it on the site: a type that the host knows, and what it selects.
 * Each replicable's `scope` says what that means for its rows.
 */
export interface SelectiveSync {
  /** For example `namespaces` or `shards`; never blank. */
  readonly type: string
  readonly namespaceIds: readonly string[]
  readonly shards: readonly string[]
}

/** What a secondary selects at this moment; null is everything, and always so on the primary. */
export type CurrentSelection = () => SelectiveSync | null

export function sameSelection(left: SelectiveSync | null, right: SelectiveSync | null): boolean {
  return JSON.stringify(left) === JSON.stringify(right)
}
