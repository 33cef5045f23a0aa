import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { FRAMES_CONTENT_TYPE } from '../../lib/transfer/frame.ts'
import { PartFiles } from '../../lib/transfer/part.ts'
import type { AssembledSite } from '../support/assembled-site.ts'
import type { SpecDatabases } from '../support/databases.ts'
import { addHostRow, addRegistryRow, registryRow, untyped } from '../support/fixture-rows.ts'
import { rangedAnswer } from '../support/ranged-answer.ts'
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

const LARGE = { bytes: 1_000_000 }

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
  // Whatever pause an earlier case has brought is over.
  site.clock.advance(3_600_000)
})

const answer = (status: number, body: object | string = '', headers: Record<string, string> = {}) =>
  primary.answer((_request, response) => {
    response.writeHead(status, headers).end(typeof body === 'string' ? body : JSON.stringify(body))
  })

interface Case {
  readonly title: string
  readonly widget?: WantedWidget
  stage(id: string): unknown
  readonly code: string
  readonly text: string
}

const cases: Case[] = [
  {
    title: 'the key of the row is none',
    widget: { key: '../outside' },
    stage: () => undefined,
    code: 'INVALID_KEY',
    text: 'Skipping transfer due to validation error: The key "../outside" is not a plain relative path',
  },
  {
    title: 'there is a directory in its place',
    widget: { key: 'folder' },
    stage: async (id) => {
      await mkdir(join(site.root, 'folder'), { recursive: true })
      answerFrames(primary, () => [blobFrame(id, 'x')])
    },
    code: 'NOT_A_FILE',
    text: 'Skipping transfer as destination exist and is a directory',
  },
  {
    title: 'its directory cannot be made',
    widget: { key: 'occupied/file' },
    stage: async (id) => {
      await writeFile(join(site.root, 'occupied'), 'a file')
      answerFrames(primary, () => [blobFrame(id, 'x')])
    },
    code: 'STORAGE_ERROR',
    text: 'Skipping transfer as we cannot create the destination directory: ',
  },
  {
    title: 'its temporary file cannot be made',
    widget: { key: 'part', registry: LARGE },
    stage: async (id) => {
      await mkdir(new PartFiles(site.root, 'widget', { id, key: 'part' }).pathOf('"x"'))
      answer(200, 'abc', { etag: '"x"', 'geo-blob-bytes': '3' })
    },
    code: 'NOT_A_FILE',
    text: 'Error creating temporary file: ',
  },
  {
    title: 'the primary answers with an error',
    stage: () => answer(500),
    code: 'HTTP_STATUS',
    text: 'Non-success HTTP response status code 500',
  },
  {
    title: 'the primary answers with an error, for a large blob',
    widget: { registry: LARGE },
    stage: () => answer(418),
    code: 'HTTP_STATUS',
    text: 'Non-success HTTP response status code 418',
  },
  {
    title: 'the file is missing on the primary',
    stage: (id) =>
      answerFrames(primary, () => [{ header: { frame: 'error', id, code: 'FILE_NOT_FOUND', message: 'not there' } }]),
    code: 'FILE_NOT_FOUND',
    text: 'The file is missing on the Geo primary site',
  },
  {
    title: 'the file is missing on the primary, for a large blob',
    widget: { registry: LARGE },
    stage: () => answer(404, { geo_code: 'FILE_NOT_FOUND', message: 'Widget #1 file not found' }),
    code: 'FILE_NOT_FOUND',
    text: 'The file is missing on the Geo primary site',
  },
  {
    title: 'the checksum differs',
    widget: { hashed: 'right' },
    stage: (id) => answerFrames(primary, () => [blobFrame(id, 'wrong')]),
    code: 'CHECKSUM_MISMATCH',
    text: 'Downloaded file checksum mismatch',
  },
  {
    title: 'the body ends early',
    widget: { registry: LARGE },
    stage: () => answer(200, 'nine left', { 'geo-blob-bytes': '10' }),
    code: 'BODY_TRUNCATED',
    text: 'Error downloading file: 9 of the announced 10 bytes arrived',
  },
  {
    title: 'something else goes wrong',
    stage: (id) => answerFrames(primary, () => [{ header: { frame: 'later', id, bytes: 1 } }]),
    code: 'INVALID_RESPONSE',
    text: 'Error while attempting to sync: The primary put off every blob it was asked for',
  },
  {
    title: 'nothing is said of it',
    stage: () => answerFrames(primary, () => []),
    code: 'INVALID_RESPONSE',
    text: 'Unknown system error',
  },
]

describe('A failed transfer is one in the registry, with its code and text, where', () => {
  for (const { title, widget, stage, code, text } of cases) {
    it(title, async () => {
      const id = await addWantedWidget(databases, site, widget)
      await stage(id)
      await syncOnce(site)
      const row = await widgetRow(databases, site, id)
      expect(row).toMatchObject({ state: SYNC_STATE.failed, retry_count: 1, error_code: code, lease_id: null })
      expect(String(row?.['last_sync_failure']).slice(0, text.length)).toBe(text)
      expect(row?.['retry_at']).not.toBeNull()
      expect(site.logger.lines.at(-1)?.fields ?? {}).not.toMatchObject({ code: 'JOB_FAILING' })
    })
  }

  it('its text is longer than the column: it ends with an ellipsis after 252 characters', async () => {
    const id = await addWantedWidget(databases, site)
    answer(500, { message: 'm'.repeat(400) })
    await syncOnce(site)
    const text = String((await widgetRow(databases, site, id))?.['last_sync_failure'])
    expect(text).toHaveLength(255)
    expect(text).toMatch(/^Non-success HTTP response status code 500: m+\.\.\.$/)
  })
})

describe('The wait after many failures', () => {
  const caps: [string, () => unknown, number][] = [
    ['is 4 hours at the most for a file that is missing on the primary', () => fileMissing(), 4 * 3600],
    ['is one hour at the most for any other failure', () => answer(500), 3600],
  ]
  const fileMissing = () =>
    answerFrames(primary, (id) => [{ header: { frame: 'error', id, code: 'FILE_NOT_FOUND', message: 'x' } }])
  for (const [title, stage, capSeconds] of caps) {
    it(title, async () => {
      const registry = { state: SYNC_STATE.failed, retry_count: 30 }
      const id = await addWantedWidget(databases, site, { registry })
      stage()
      await syncOnce(site)
      const { rows } = await databases.tracking.raw(
        'select extract(epoch from retry_at - clock_timestamp())::float8 as wait from widget_registry where widget_id = ?',
        [id],
      )
      expect(rows[0].wait).toBeGreaterThan(capSeconds)
      expect(rows[0].wait).toBeLessThan(capSeconds + 75)
    })
  }
})

describe('What is wrong with a site is no failure of a blob:', () => {
  const setPrimary = async (name: 'rome' | 'paris' | null): Promise<void> => {
    await databases.main('geo_nodes').update({ primary: false })
    if (name !== null) await databases.main('geo_nodes').where({ name }).update({ primary: true })
    await site.parts.sites.refresh()
  }

  async function expectPause(code: string, message: string): Promise<void> {
    const id = await addWantedWidget(databases, site)
    await syncOnce(site)
    expect(site.parts.sources.sync.refusal).toMatchObject({ code })
    expect(site.parts.sources.sync.refusal?.message).toContain(message)
    expect(await widgetRow(databases, site, id)).toMatchObject({
      state: SYNC_STATE.pending,
      retry_count: 0,
      last_sync_failure: null,
      lease_id: null,
    })
    expect(await databases.tracking('geo_leases')).toEqual([])
    // Transfers pause: nothing is claimed until it is over.
    expect(await site.parts.sources.sync.claim()).toBeNull()
  }

  it('it is not a secondary', async () => {
    await setPrimary('paris')
    await expectPause('NOT_SECONDARY', 'Skipping transfer as this is not a Secondary node')
    await setPrimary('rome')
  })

  it('there is no primary', async () => {
    await setPrimary(null)
    await expectPause('PRIMARY_UNKNOWN', 'Skipping transfer as there is no Primary node to download from')
    await setPrimary('rome')
  })

  it('the primary is busy: Retry-After in seconds or as a date is waited for, and no failure counted', async () => {
    for (const retryAfter of ['40', new Date(Date.now() + 40_000).toUTCString()]) {
      for (const status of [429, 503]) {
        answer(status, '', { 'retry-after': retryAfter })
        await expectPause('PRIMARY_BUSY', `Non-success HTTP response status code ${status}`)
        site.clock.advance(30_000)
        expect(await site.parts.sources.sync.claim()).toBeNull()
        site.clock.advance(11_000)
        answerFrames(primary, (id) => [blobFrame(id, 'x')])
        await syncOnce(site)
        expect(site.parts.sources.sync.refusal).toBeNull()
        await databases.tracking('widget_registry').delete()
      }
    }
  })

  it('the primary is busy, and asks for no rest at all: it gets some, or it would be asked as often as our database allows', async () => {
    answer(503, '', { 'retry-after': '0' })
    await expectPause('PRIMARY_BUSY', 'Non-success HTTP response status code 503')
    site.clock.advance(500)
    answerFrames(primary, (id) => [blobFrame(id, 'x')])
    await syncOnce(site)
    expect(site.parts.sources.sync.refusal).toBeNull()
    await databases.tracking('widget_registry').delete()
  })

  it('the store of a type is away on the primary: that type waits, and others go on', async () => {
    const { main, tracking } = databases
    answer(503, { code: 'STORE_NOT_MOUNTED', message: 'The store is away' })
    const id = await addWantedWidget(databases, site)
    await syncOnce(site)
    const gadgets = untyped(site.replicables.gadgets)
    const other = await addHostRow(main, gadgets, { filePath: 'a/gadget' })
    await addRegistryRow(tracking, gadgets, other)
    answerFrames(primary, (asked) => [blobFrame(asked, 'x')])
    await syncOnce(site)
    expect(await registryRow(tracking, gadgets, other)).toMatchObject({ state: SYNC_STATE.synced })
    expect(await widgetRow(databases, site, id)).toMatchObject({ state: SYNC_STATE.pending, retry_count: 0 })
    expect(site.parts.sources.sync.refusal).toMatchObject({ code: 'PRIMARY_BUSY', ofType: true })
    site.clock.advance(500)
    await syncOnce(site)
    expect(await widgetRow(databases, site, id)).toMatchObject({ state: SYNC_STATE.synced })
    expect(site.parts.sources.sync.refusal).toBeNull()
  })

  it('a request that was lost with an outage says nothing of a primary that answers again meanwhile', async () => {
    const lost = Promise.withResolvers<() => void>()
    primary.answer((_request, response) => {
      response.writeHead(200, { 'content-type': FRAMES_CONTENT_TYPE }).flushHeaders()
      lost.resolve(() => void response.destroy())
    })
    const id = await addWantedWidget(databases, site)
    const stranded = syncOnce(site)
    const breakOff = await lost.promise
    site.clock.advance(1000)
    answerFrames(primary, (asked) => [blobFrame(asked, 'x')])
    await addWantedWidget(databases, site, { key: 'a/meanwhile' })
    await syncOnce(site)
    breakOff()
    await stranded
    expect(site.parts.sources.sync.refusal).toBeNull()
    expect(await widgetRow(databases, site, id)).toMatchObject({ state: SYNC_STATE.pending, retry_count: 0 })
    // It may be what broke the answer, and is asked for alone.
    primary.answer(rangedAnswer(() => ({ bytes: Buffer.from('x'), etag: '"x"' })).listener)
    await syncOnce(site)
    expect(await widgetRow(databases, site, id)).toMatchObject({ state: SYNC_STATE.synced })
  })

  it('its replica fails: the rows are given back at once, and the batch says why', async () => {
    const id = await addWantedWidget(databases, site)
    await databases.main.raw('alter table widgets rename to widgets_away')
    try {
      await expect(syncOnce(site)).rejects.toThrow(/widgets/)
    } finally {
      await databases.main.raw('alter table widgets_away rename to widgets')
    }
    expect(await widgetRow(databases, site, id)).toMatchObject({
      state: SYNC_STATE.pending,
      retry_count: 0,
      lease_id: null,
    })
  })
})
