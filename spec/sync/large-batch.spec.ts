import { readFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { standbyCaughtUp } from '../support/databases.ts'
import { type StagedSecondary, stageSecondary } from '../support/staged-secondary.ts'
import { addWantedWidget } from '../support/sync-batch.ts'

const BYTES = 300_000

let staged: StagedSecondary
let ids: string[]

beforeAll(async () => {
  staged = await stageSecondary()
})
afterAll(() => staged?.close())
beforeEach(async () => {
  const { databases, site } = staged
  await databases.tracking('widget_registry').delete()
  ids = []
  for (const key of ['a', 'b', 'c']) {
    ids.push(await addWantedWidget(databases, site, { key, registry: { bytes: BYTES } }))
  }
  await standbyCaughtUp()
})

/** The primary sends each blob full of the last digit of its id; returns the paths that were asked for. */
function sendAll(instead: (nth: number, response: ServerResponse) => boolean = () => false): string[] {
  const asked: string[] = []
  staged.primary.answer(({ url = '' }, response) => {
    asked.push(url)
    if (instead(asked.length, response)) return
    response.writeHead(200, { 'geo-blob-bytes': String(BYTES), etag: '"one"' }).end(url.slice(-1).repeat(BYTES))
  })
  return asked
}

async function workOnce(): Promise<void> {
  const { sync } = staged.site.parts.sources
  const batch = await sync.claim()
  if (!batch) throw new Error('Nothing was claimed')
  expect(batch.rows.map(({ id }) => id).sort()).toEqual([...ids].sort())
  await sync.work(batch)
}

const states = async (): Promise<number[]> => {
  const rows = await staged.databases.tracking('widget_registry').orderBy('id')
  return rows.map((row) => row.state)
}

describe('Blobs that are known to be large, and together are no more than a lease is given,', () => {
  it('come one after the other under it', async () => {
    const asked = sendAll()
    await workOnce()
    expect(asked.toSorted()).toEqual(ids.map((id) => `/api/v4/geo/retrieve/widget/${id}`).toSorted())
    expect(await states()).toEqual([SYNC_STATE.synced, SYNC_STATE.synced, SYNC_STATE.synced])
    for (const [position, key] of ['a', 'b', 'c'].entries()) {
      const stored = await readFile(join(staged.site.root, key), 'utf8')
      expect(stored === String(ids[position]).slice(-1).repeat(BYTES)).toBe(true)
    }
  })

  it('and no more of them once the primary asks for patience: the rest is given back', async () => {
    const asked = sendAll((nth, response) => {
      if (nth === 2) response.writeHead(503, { 'retry-after': '1' }).end()
      return nth === 2
    })
    await workOnce()
    expect(asked).toHaveLength(2)
    expect((await states()).toSorted()).toEqual([SYNC_STATE.pending, SYNC_STATE.pending, SYNC_STATE.synced])
  })
})
