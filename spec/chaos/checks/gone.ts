import { join } from 'node:path'
import { nameOf } from '../ledger.ts'
import { filesBelow } from '../watcher.ts'
import { isLeftBehind } from './left-behind.ts'
import { namedKeys } from './named-keys.ts'
import { registryRows } from './registry-rows.ts'
import type { Check } from './scene.ts'

export const gone: Check = {
  name: 'gone',
  promise:
    'what the host deleted or replaced is gone from each secondary: its row, and its file, but for one of work that was broken off before it was named',
  async look({ ledger, secondaries }) {
    const found: string[] = []
    for (const secondary of secondaries) {
      const rows = await registryRows(secondary)
      const files = new Set(await filesBelow(secondary.blobsDir))
      const named = await namedKeys(secondary.tracking)
      for (const record of ledger.records) {
        if (record.isUncertain) continue
        const name = `${secondary.name}: ${nameOf(record.type, record.id)}`
        if (record.isDeleted && rows.has(nameOf(record.type, record.id)))
          found.push(`${name} is deleted and has a registry row`)
        const owed = record.isDeleted ? record.versions : record.versions.slice(0, -1)
        for (const { key } of owed) {
          if (!files.has(key)) continue
          // Once it was named, whoever takes the work up knows of it.
          if (!named.has(key) && (await isLeftBehind(secondary, join(secondary.blobsDir, key)))) continue
          found.push(`${name} is ${record.isDeleted ? 'deleted' : 'replaced'}, and ${key} is there`)
        }
      }
    }
    return found
  },
}
