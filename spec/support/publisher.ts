import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { newBlobKey } from '../../fixtures/widget-app/blob-key.ts'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { UPLOAD_COLUMNS, type Upload } from '../../fixtures/widget-app/upload-table.ts'
import { createGeo } from '../../lib/index.ts'
import type { UploadType } from './site-client.ts'
import { PRIMARY, type TwoSites } from './two-sites.ts'

const ROWS_PER_INSERT = 1000

/** Writes rows of the primary from this process, as a script of the host would: also while the primary's server is down. */
export interface Publisher {
  /** Rows with a file each, or without one where `bytes` is null; all in one transaction. */
  insert(type: UploadType, files: readonly { name: string; bytes: string | null }[]): Promise<Inserted[]>
  /** The same for files that are in the store already; `onCommit` is called just before the commit. */
  publish(
    type: UploadType,
    rows: readonly { name: string; file_path: string | null }[],
    onCommit?: () => void,
  ): Promise<Inserted[]>
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

  const publisher: Publisher = {
    async insert(type, files) {
      const rows: { name: string; file_path: string | null }[] = []
      for (const { name, bytes } of files) {
        rows.push({ name, file_path: bytes === null ? null : await writeBlob(type, name, bytes) })
      }
      return publisher.publish(type, rows)
    },
    publish: (type, rows, onCommit) =>
      databases.main.transaction(async (trx) => {
        const inserted: Inserted[] = []
        for (let at = 0; at < rows.length; at += ROWS_PER_INSERT) {
          const some: Upload[] = await trx<Upload>(type)
            .insert(rows.slice(at, at + ROWS_PER_INSERT))
            .returning(UPLOAD_COLUMNS)
          for (const row of some) await replicators[type].created(row, trx)
          inserted.push(...some.map(({ id, file_path: key }) => ({ id, key })))
        }
        onCommit?.()
        return inserted
      }),
    close: () => geo.stop(),
  }
  return publisher
}
