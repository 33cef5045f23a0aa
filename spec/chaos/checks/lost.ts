import { join } from 'node:path'
import { hashOf } from '../hash-of.ts'
import { currentOf, nameOf } from '../ledger.ts'
import { ifThere } from '../watcher.ts'
import { registryRows } from './registry-rows.ts'
import { type Check, SYNCED, VERIFIED } from './scene.ts'

export const lost: Check = {
  name: 'lost',
  promise:
    'every row that the host was told of is on each secondary: synced, verified, and its bytes are those that were stored',
  async look({ ledger, secondaries }) {
    const found: string[] = []
    for (const secondary of secondaries) {
      const rows = await registryRows(secondary)
      for (const record of ledger.live()) {
        const name = `${secondary.name}: ${nameOf(record.type, record.id)}`
        const { key, bytes, sha256 } = currentOf(record)
        const [row] = rows.get(nameOf(record.type, record.id)) ?? []
        if (!row) {
          found.push(`${name} has no registry row`)
          continue
        }
        if (row.state !== SYNCED || row.verification !== VERIFIED || row.leaves)
          found.push(
            `${name} is in state ${row.state}, verification ${row.verification}${row.leaves ? ', leaving' : ''}: ${row.failure}`,
          )
        if (row.key !== key) found.push(`${name} is kept under ${row.key}, and the host has ${key}`)
        const file = await ifThere(() => hashOf(join(secondary.blobsDir, key)))
        if (!file) found.push(`${name} has no file ${key}`)
        else if (file.sha256 !== sha256)
          found.push(
            `${name}: ${key} has ${file.bytes} bytes with sha256 ${file.sha256}; stored were ${bytes} with ${sha256}`,
          )
      }
    }
    return found
  },
}
