import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { newBlobKey } from '../../fixtures/widget-app/blob-key.ts'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { UPLOAD_COLUMNS, type Upload } from '../../fixtures/widget-app/upload-table.ts'
import { createGeo } from '../../lib/index.ts'
import type { UploadType } from './site-client.ts'
import { PRIMARY, type TwoSites } from './two-sites.ts'

/** Writes rows of the primary from this process, as a script of the host would: also while the primary's server is down. */
export interface Publisher {
  /** Rows with a file each, or without one where `bytes` is null; all in one transaction. */
  insert(type: UploadType, files: readonly { name: string; bytes: string | null }[]): Promise<Inserted[]>
  close(): Promise<void>
}

export interface Inserted {
  readonly id: string
  readonly key: string | null
}

export function openPublisher({ primary, databases, encryptionKey }: TwoSites): Publisher {
  const { widgets, gadgets } = declareReplicables(primary.blobsDir)
  const geo = createGeo({
    siteName: PRIMARY,
    mainDb: databases.main,
    replicables: [widgets, gadgets],
    encryptionKey,
    features: { isEnabled: () => true },
    work: false,
  })
  const replicators = { widgets: geo.replicator(widgets), gadgets: geo.replicator(gadgets) }

  async function writeBlob(type: UploadType, name: string, bytes: string): Promise<string> {
    const key = newBlobKey(type, name)
    const path = join(primary.blobsDir, key)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, bytes)
    return key
  }

  return {
    async insert(type, files) {
      const rows: { name: string; file_path: string | null }[] = []
      for (const { name, bytes } of files) {
        rows.push({ name, file_path: bytes === null ? null : await writeBlob(type, name, bytes) })
      }
      return databases.main.transaction(async (trx) => {
        const inserted: Upload[] = await trx<Upload>(type).insert(rows).returning(UPLOAD_COLUMNS)
        for (const row of inserted) await replicators[type].created(row, trx)
        return inserted.map(({ id, file_path: key }) => ({ id, key }))
      })
    },
    close: () => geo.stop(),
  }
}
