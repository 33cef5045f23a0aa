import type { Assembly } from '../assembly.ts'
import type { Replicable } from '../blob/replicable.ts'
import { statusOf } from '../view/status/read.ts'

const FIELDS = Object.freeze({
  sync: { all: 'registry_count', done: 'synced_count' },
  verify: { all: 'registry_count', done: 'verified_count' },
  hash: { all: 'checksum_total_count', done: 'checksummed_count' },
})

/** How many there were to do when the site gathered its status last; null where that is not known. Nothing is counted for it. */
export async function leftByStatus(
  assembly: Assembly,
  what: 'sync' | 'verify',
  replicables: readonly Replicable[],
): Promise<number | null> {
  const status = await statusOf(assembly)
  const { all, done } = FIELDS[kindOf(assembly, what)]
  let left = 0
  for (const { names } of replicables) {
    const [total, part] = [status[`${names.plural}_${all}`], status[`${names.plural}_${done}`]]
    if (typeof total !== 'number' || typeof part !== 'number') return null
    left += total - part
  }
  return left
}

/** What has to be worked for it, by the role of this site. */
export function kindOf({ sites }: Assembly, what: 'sync' | 'verify'): 'sync' | 'verify' | 'hash' {
  return what === 'verify' && sites.role === 'primary' ? 'hash' : what
}
