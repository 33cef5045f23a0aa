import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Upload } from '../../fixtures/widget-app/upload-table.ts'
import { defineReplicable } from '../../lib/index.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { VERIFICATION_STATE } from '../../lib/verification/verification-state.ts'
import { type AssembledSite, assembleSecondary } from '../support/assembled-site.ts'
import type { SpecDatabases } from '../support/databases.ts'
import { type StagedSecondary, stageSecondary } from '../support/staged-secondary.ts'
import type { StagedServer } from '../support/staged-server.ts'
import {
  addWantedWidget,
  answerFrames,
  blobFrame,
  syncOnce,
  type WantedWidget,
  widgetRow,
} from '../support/sync-batch.ts'

let staged: StagedSecondary
let databases: SpecDatabases
let primary: StagedServer
let site: AssembledSite

beforeAll(async () => {
  staged = await stageSecondary()
  ;({ databases, primary, site } = staged)
})
afterAll(() => staged?.close())
beforeEach(async () => {
  await databases.tracking('widget_registry').delete()
  site.logger.clear()
})

async function bring(key: string, text: string, root = site.root): Promise<void> {
  await mkdir(dirname(join(root, key)), { recursive: true })
  await writeFile(join(root, key), text)
}

const downloads = () =>
  site.logger.lines.filter(({ message }) => message === 'Blob download').map(({ fields }) => fields)

describe('A file that other means have brought beforehand', () => {
  it('is hashed, and taken over without a request where it matches, for a brand-new registry row', async () => {
    const seen = answerFrames(primary, (id) => [blobFrame(id, 'from the primary')])
    await bring('deep/er/brought', 'brought')
    const { ino } = await stat(join(site.root, 'deep/er/brought'))
    const id = await addWantedWidget(databases, site, { key: 'deep/er/brought', hashed: 'brought' })
    await syncOnce(site)
    expect(seen.requests).toBe(0)
    expect(await widgetRow(databases, site, id)).toMatchObject({
      state: SYNC_STATE.synced,
      verification_state: VERIFICATION_STATE.pending,
      blob_key: 'deep/er/brought',
      bytes: '7',
      lease_id: null,
    })
    expect((await stat(join(site.root, 'deep/er/brought'))).ino).toBe(ino)
    expect(downloads()).toMatchObject([
      {
        replicable_name: 'widget',
        model_record_id: id,
        mark_as_synced: true,
        download_success: true,
        bytes_downloaded: 0,
        skipped: true,
      },
    ])
  })

  const fetched: [string, WantedWidget][] = [
    ['where it differs', { hashed: 'fresh' }],
    ['where the primary has not hashed its own', {}],
    ['where the row was tried before', { hashed: 'stale', registry: { last_synced_at: new Date() } }],
    ['where the row has failed before', { hashed: 'stale', registry: { state: SYNC_STATE.failed, retry_count: 1 } }],
  ]
  for (const [where, widget] of fetched) {
    it(`is fetched nevertheless ${where}`, async () => {
      await bring('a/file', 'stale')
      const body = widget.hashed ?? 'fresh'
      const seen = answerFrames(primary, (id) => [blobFrame(id, body)])
      const id = await addWantedWidget(databases, site, widget)
      await syncOnce(site)
      expect(seen.requests).toBe(1)
      expect(await widgetRow(databases, site, id)).toMatchObject({ state: SYNC_STATE.synced })
      expect(await readFile(join(site.root, 'a/file'), 'utf8')).toBe(body)
      expect(downloads()).toMatchObject([{ bytes_downloaded: 5 }])
      expect(downloads()[0]).not.toHaveProperty('skipped')
    })
  }

  it('is fetched nevertheless where its type is mutable', async () => {
    const { store } = site.replicables.widgets
    const mutable = defineReplicable<Upload>({
      name: 'widget',
      table: 'widgets',
      verificationState: 'separate',
      store,
      immutable: false,
      blob: (row) => row.file_path,
    })
    const other = await assembleSecondary(databases, { root: site.root, options: { replicables: [mutable] } })
    try {
      await bring('a/mutable', 'same')
      const seen = answerFrames(primary, (id) => [blobFrame(id, 'same')])
      await addWantedWidget(databases, site, { key: 'a/mutable', hashed: 'same' })
      await syncOnce(other)
      expect(seen.requests).toBe(1)
    } finally {
      await other.close()
    }
  })

  it('costs the others of its batch nothing', async () => {
    await bring('mixed/brought', 'brought')
    const seen = answerFrames(primary, (id) => [blobFrame(id, 'fetched')])
    const brought = await addWantedWidget(databases, site, { key: 'mixed/brought', hashed: 'brought' })
    const lacking = await addWantedWidget(databases, site, { key: 'mixed/lacking', hashed: 'fetched' })
    await syncOnce(site)
    expect(seen.requests).toBe(1)
    for (const id of [brought, lacking]) {
      expect(await widgetRow(databases, site, id)).toMatchObject({ state: SYNC_STATE.synced })
    }
    expect(await readFile(join(site.root, 'mixed/lacking'), 'utf8')).toBe('fetched')
  })
})
