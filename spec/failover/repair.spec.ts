import { statfs } from 'node:fs/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { encodeDigest } from '../../lib/blob/digest.ts'
import { createGeo, type Geo } from '../../lib/index.ts'
import { VERIFICATION_STATE } from '../../lib/verification/verification-state.ts'
import { untyped } from '../support/fixture-rows.ts'
import { folderContents } from '../support/folder-contents.ts'
import { changeState } from '../support/primary-records.ts'
import { createPrimarySite, type PrimarySite } from '../support/primary-site.ts'
import { recordingLogger } from '../support/recording-logger.ts'
import { type StagedServer, stageServer } from '../support/staged-server.ts'
import { until } from '../support/until.ts'
import { digestOf } from '../support/verifying-site.ts'

/** How long the primary rests before it asks again for a copy that is being hashed. */
const REST_MS = 1000

let site: PrimarySite
let secondary: StagedServer
let geo: Geo
beforeAll(async () => {
  ;[site, secondary] = await Promise.all([createPrimarySite(), stageServer()])
  const { databases, replicables, encryptionKey, clock } = site
  geo = createGeo({
    siteName: 'tokyo',
    mainDb: databases.main,
    replicables: [replicables.widgets],
    features: { isEnabled: () => true },
    encryptionKey,
    clock: { ...clock, sleep: (delayMs, signal) => clock.sleep(delayMs === REST_MS ? 5 : delayMs, signal) },
    logger: recordingLogger(),
    work: false,
    threads: 1,
  })
  await geo.sites.update('paris', { internalUrl: secondary.url })
})
afterAll(async () => {
  await geo?.stop()
  await Promise.all([site?.close(), secondary?.close()])
})

/** A widget whose file is gone from the primary, and the checksum that was recorded of it. */
async function lostWidget(key: string, bytes: string): Promise<string> {
  const id = await site.addWidget(key)
  const digest = await digestOf(bytes)
  await changeState(site.databases.main, untyped(site.replicables.widgets), id, {
    verification_state: VERIFICATION_STATE.failed,
    verification_checksum: encodeDigest(digest),
    verification_failure: 'The file is missing',
  })
  return id
}

it.each([
  ['as many other bytes', 'wrong bytes!', 'CHECKSUM_MISMATCH'],
  ['half of the bytes', 'right ', 'CHECKSUM_MISMATCH'],
])('The primary gives no name to %s, whatever the site that lends them says of them', async (_, bytes, code) => {
  const key = `lost/${code}/${bytes.length}`
  const id = await lostWidget(key, 'right bytes!')
  const digest = await digestOf('right bytes!')
  secondary.answer((_request, response) => {
    response.writeHead(200, { etag: `"${digest.algorithm}-${digest.hex}"`, 'geo-blob-bytes': bytes.length }).end(bytes)
  })
  const [result] = await geo.repair({ types: ['widget'], ids: [id] })
  expect(result?.records).toMatchObject([{ id, outcome: 'failed', from: null, reasons: [{ site: 'paris', code }] }])
  // No part of it stays either.
  const files = (await folderContents(site.root)).filter((entry) => !entry.endsWith('/'))
  expect(files).toEqual([expect.stringContaining('.geo-store.json')])
})

it('The primary takes nothing that would fill its disk, whatever length the site that lends it says', async () => {
  const id = await lostWidget('lost/huge', 'right bytes!')
  const { blocks, bsize } = await statfs(site.root)
  let isCut = false
  secondary.answer((_request, response) => {
    response.writeHead(200, { etag: '"huge"', 'geo-blob-bytes': blocks * bsize }).write('right bytes!')
    response.once('close', () => {
      isCut = true
    })
  })
  const [result] = await geo.repair({ types: ['widget'], ids: [id] })
  expect(result?.records).toMatchObject([
    {
      id,
      outcome: 'failed',
      reasons: [{ site: 'paris', code: 'STORAGE_FULL', message: expect.stringContaining('leave less') }],
    },
  ])
  await until(() => isCut)
  const files = (await folderContents(site.root)).filter((entry) => !entry.endsWith('/'))
  expect(files).toEqual([expect.stringContaining('.geo-store.json')])
})

it('The right bytes are taken', async () => {
  const id = await lostWidget('lost/right', 'right bytes!')
  const digest = await digestOf('right bytes!')
  secondary.answer((_request, response) => {
    response.writeHead(200, { etag: `"${digest.algorithm}-${digest.hex}"`, 'geo-blob-bytes': 12 }).end('right bytes!')
  })
  const [result] = await geo.repair({ types: ['widget'], ids: [id] })
  expect(result?.records).toMatchObject([{ id, outcome: 'repaired', from: 'paris' }])
})

it('The primary waits for a copy that is hashed before it is lent, as long as the site says so', async () => {
  const id = await lostWidget('lost/large', 'right bytes!')
  const digest = await digestOf('right bytes!')
  let asked = 0
  secondary.answer((_request, response) => {
    asked += 1
    if (asked < 4) {
      response.writeHead(409, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ message: 'The copy is being hashed', code: 'COPY_BEING_HASHED' }))
      return
    }
    const etag = `"${digest.algorithm}-${digest.hex}"`
    response.writeHead(200, { etag, 'geo-blob-bytes': 12 }).end('right bytes!')
  })
  const [result] = await geo.repair({ types: ['widget'], ids: [id] })
  expect(result?.records).toMatchObject([{ id, outcome: 'repaired', from: 'paris', reasons: [] }])
  expect(asked).toBe(4)
})
