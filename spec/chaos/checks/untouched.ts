import { join } from 'node:path'
import { hashOf } from '../hash-of.ts'
import { currentOf, nameOf } from '../ledger.ts'
import { ifThere } from '../watcher.ts'
import type { Check } from './scene.ts'

interface Recorded {
  readonly name: string
  readonly checksum: string | null
}

export const untouched: Check = {
  name: 'untouched',
  promise: 'the files of the primary are as the host stored them, and a recorded checksum stays',
  async look({ ledger, primary, recorded }) {
    const found: string[] = []
    const rows = await primary.main<Recorded>(
      `select 'widgets/' || w.id as name, encode(s.verification_checksum, 'hex') as checksum
         from widgets w left join widget_states s on s.widget_id = w.id
       union all select 'gadgets/' || id, encode(verification_checksum, 'hex') from gadgets`,
    )
    const checksums = new Map(rows.map(({ name, checksum }) => [name, checksum]))
    for (const record of ledger.live()) {
      const name = nameOf(record.type, record.id)
      const { key, sha256 } = currentOf(record)
      const file = await ifThere(() => hashOf(join(primary.blobsDir, key)))
      if (!file) found.push(`${name}: the primary has no file ${key} any more`)
      else if (file.sha256 !== sha256) found.push(`${name}: the primary's ${key} has other bytes than the host stored`)
      const checksum = checksums.get(name)
      if (checksum === undefined) found.push(`${name} has no row on the primary any more`)
      const before = recorded.get(key)
      if (before !== undefined && checksum !== before)
        found.push(`${name}: its recorded checksum was ${before} and is ${checksum}`)
      if (typeof checksum === 'string' && before === undefined) recorded.set(key, checksum)
    }
    return found
  },
}
