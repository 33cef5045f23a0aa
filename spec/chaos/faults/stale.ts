import type { RegistryRow } from '../checks/registry-rows.ts'
import { SYNCED, VERIFIED } from '../checks/scene.ts'
import { currentOf, type Ledger, nameOf } from '../ledger.ts'

/** What would stay wrong if nothing came any more: it need not be healed yet, but it must be known to need it. */
export function judgeStale(
  ledger: Ledger,
  rows: ReadonlyMap<string, readonly Pick<RegistryRow, 'state' | 'verification' | 'key' | 'leaves'>[]>,
): string[] {
  const found: string[] = []
  for (const record of ledger.records) {
    const name = nameOf(record.type, record.id)
    const [row] = rows.get(name) ?? []
    if (record.isDeleted) {
      if (row && !row.leaves) found.push(`${name} is deleted, and nothing removes it here`)
    } else if (!record.isUncertain) {
      if (!row) found.push(`${name} has no registry row`)
      else if (row.leaves) found.push(`${name} is there, and is to be removed here`)
      else if (row.state === SYNCED && row.verification === VERIFIED && row.key !== currentOf(record).key)
        found.push(`${name} is called verified, with ${row.key}; the host has ${currentOf(record).key}`)
    }
  }
  return found
}
