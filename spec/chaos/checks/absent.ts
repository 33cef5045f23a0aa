import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { ifThere } from '../watcher.ts'
import { registryRows } from './registry-rows.ts'
import { type Check, SYNCED } from './scene.ts'

export const absent: Check = {
  name: 'absent',
  promise: 'no row is called synced whose file is not there',
  async look({ secondaries }) {
    const found: string[] = []
    for (const secondary of secondaries) {
      for (const [name, rows] of await registryRows(secondary)) {
        for (const row of rows) {
          if (row.state !== SYNCED || row.leaves || row.key === null) continue
          const path = join(secondary.blobsDir, row.key)
          if ((await ifThere(() => access(path).then(() => true))) === null)
            found.push(`${secondary.name}: ${name} is synced, and there is no ${row.key}`)
        }
      }
    }
    return found
  },
}
