import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express from 'express'
import { fetch } from 'undici'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { encodeDigest } from '../../lib/blob/digest.ts'
import type { Clock } from '../../lib/clock.ts'
import { createGeo, type Geo, type Site } from '../../lib/index.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { decryptSecret } from '../../lib/secret.ts'
import { insertSite } from '../../lib/site-table.ts'
import { shiftedClock } from '../../lib/testing/shifted-clock.ts'
import { signRequest, type TokenScope } from '../../lib/transfer/token.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addHostRow, ENCRYPTION_KEY, untyped } from '../support/fixture-rows.ts'
import { type RawClient, rawClient, requestHead } from '../support/raw-client.ts'
import { recordingLogger } from '../support/recording-logger.ts'
import { until } from '../support/until.ts'
import { digestOf } from '../support/verifying-site.ts'

/** More than the kernel keeps for both sides of a connection. */
const LARGE_BYTES = 24 * 1024 * 1024

/** How long a copy is hashed before the site says that it is at it. */
const PATIENCE_MS = 20_000

let isImpatient = false
const shifted = shiftedClock()
const clock: Clock = {
  ...shifted,
  sleep: (delayMs, signal) =>
    isImpatient && delayMs === PATIENCE_MS ? Promise.resolve() : shifted.sleep(delayMs, signal),
}
const logger = recordingLogger()
let databases: SpecDatabases
let root: string
let geo: Geo
let server: Server
let sites: Record<'primary' | 'lender' | 'other', Site>
let id: string

beforeAll(async () => {
  databases = await createSpecDatabases()
  root = await mkdtemp(join(tmpdir(), 'geo-lend-'))
  const { main, tracking } = databases
  const { widgets } = declareReplicables(root)
  const add = (name: string, primary: boolean) =>
    insertSite(main, ENCRYPTION_KEY, { name, primary, url: `http://${name}.test`, filesMaxCapacity: 1 })
  sites = { primary: await add('rome', true), lender: await add('tokyo', false), other: await add('oslo', false) }
  id = await addHostRow(main, untyped(widgets), { filePath: 'copy' })
  geo = createGeo({
    siteName: 'tokyo',
    mainDb: main,
    trackingDb: tracking,
    replicables: [widgets],
    encryptionKey: ENCRYPTION_KEY.toString('hex'),
    features: { isEnabled: () => true },
    threads: 1,
    retrieveMargin: 1,
    clock,
    logger,
  })
  server = createServer(express().use(geo.routers.copies))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterAll(async () => {
  server?.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  await geo.stop()
  await databases.destroy()
  await rm(root, { recursive: true, force: true })
})
beforeEach(async () => {
  const { main, tracking } = databases
  const verification_checksum = encodeDigest(await digestOf('bytes'))
  await writeFile(join(root, 'copy'), 'bytes')
  await main('widget_states').delete()
  await tracking('widget_registry').delete()
  await main('widget_states').insert({ widget_id: id, verification_state: V.failed, verification_checksum })
  await tracking('widget_registry').insert({
    widget_id: id,
    created_at: tracking.fn.now(),
    state: SYNC_STATE.synced,
    verification_state: V.succeeded,
    verification_checksum,
    blob_key: 'copy',
  })
})

const ofTheCopy = (): TokenScope => ({ replicable_name: 'widget', replicable_id: id })

function signedBy(site: Site, scope = ofTheCopy()): Promise<string> {
  return signRequest(site, decryptSecret(site.secret, ENCRYPTION_KEY, site.accessKey), scope, clock)
}

async function ask(
  by: Site | null,
  { scope = ofTheCopy(), path = `widget/${id}` }: { scope?: TokenScope; path?: string } = {},
): Promise<{ status: number; code: unknown; body: string }> {
  const headers = by ? { authorization: await signedBy(by, scope) } : {}
  const { port } = server.address() as AddressInfo
  const response = await fetch(`http://127.0.0.1:${port}/api/v4/geo/copies/${path}`, { headers })
  const body = await response.text()
  const code = response.status === 200 ? null : (JSON.parse(body) as { code: unknown }).code
  return { status: response.status, code, body }
}

describe('A secondary lends its copy', () => {
  it('to the primary, where it is verified and still has the recorded checksum', async () => {
    expect(await ask(sites.primary)).toEqual({ status: 200, code: null, body: 'bytes' })
  })

  it('to nobody else', async () => {
    expect(await ask(null)).toMatchObject({ status: 401, code: 'UNAUTHORIZED' })
    expect(await ask(sites.other)).toMatchObject({ status: 401, code: 'UNAUTHORIZED' })
    expect(await ask(sites.lender)).toMatchObject({ status: 401, code: 'UNAUTHORIZED' })
  })

  it('for exactly the blob that the token names', async () => {
    const scope = { replicable_name: 'widget', replicable_id: '9999' }
    expect(await ask(sites.primary, { scope })).toMatchObject({ status: 401, code: 'TOKEN_SCOPE' })
    const list = { replicable_name: 'widget', replicable_ids_sha256: 'ab' }
    expect(await ask(sites.primary, { scope: list })).toMatchObject({ status: 401, code: 'TOKEN_SCOPE' })
    const unknown = { replicable_name: 'wodget', replicable_id: id }
    expect(await ask(sites.primary, { scope: unknown, path: `wodget/${id}` })).toMatchObject({
      status: 404,
      code: 'UNKNOWN_REPLICABLE',
    })
  })

  it.each([
    ['is to be removed', { removal_requested_at: new Date() }, /no copy of Widget #\d+ that is to stay/],
    ['lies under another key', { blob_key: 'elsewhere' }, /no copy of Widget #\d+ that is to stay/],
  ])('but not one that %s', async (_, change, said) => {
    await databases.tracking('widget_registry').update(change)
    const answer = await ask(sites.primary)
    expect(answer).toMatchObject({ status: 409, code: 'COPY_NOT_VERIFIED' })
    expect(answer.body).toMatch(said)
  })

  it.each([
    ['is not verified', { verification_state: V.pending }],
    ['was to be fetched again, which failed', { state: SYNC_STATE.failed, error_code: 'CORRUPT_ON_PRIMARY' }],
    ['is being fetched again', { state: SYNC_STATE.started }],
    ['was verified by another checksum', { verification_checksum: Buffer.from('01aa', 'hex') }],
  ])('also one that %s, for it is hashed now', async (_, change) => {
    await databases.tracking('widget_registry').update(change)
    expect(await ask(sites.primary)).toMatchObject({ status: 200, body: 'bytes' })
  })

  it('but not one whose bytes have changed since', async () => {
    await writeFile(join(root, 'copy'), 'bytez')
    const answer = await ask(sites.primary)
    expect(answer).toMatchObject({ status: 409, code: 'COPY_NOT_VERIFIED' })
    expect(answer.body).toMatch(/does not hash to the recorded checksum/)
    await rm(join(root, 'copy'))
    expect(await ask(sites.primary)).toMatchObject({ status: 409, code: 'COPY_NOT_VERIFIED' })
  })

  it('once it is hashed, however long that takes: until then it says so', async () => {
    isImpatient = true
    expect(await ask(sites.primary)).toMatchObject({ status: 409, code: 'COPY_BEING_HASHED' })
    isImpatient = false
    expect(await ask(sites.primary)).toEqual({ status: 200, code: null, body: 'bytes' })
  })

  it('no more of them at once than that site has places', async () => {
    const bytes = randomBytes(LARGE_BYTES)
    const verification_checksum = encodeDigest(await digestOf(bytes))
    await writeFile(join(root, 'copy'), bytes)
    await databases.main('widget_states').update({ verification_checksum })
    const { port } = server.address() as AddressInfo
    const authorization = await signedBy(sites.primary)
    const head = requestHead('GET', `/api/v4/geo/copies/widget/${id}`, { authorization })
    const open = () => rawClient(`http://127.0.0.1:${port}`, head, { reads: false })
    const clients: RawClient[] = []
    const isRefused = async () => (await ask(sites.primary)).code === 'TOO_MANY_TRANSFERS'
    // Whoever asks in between may have the place that one of them wanted.
    await until(async () => {
      clients.push(await open())
      return isRefused()
    })
    for (const { socket } of clients) socket.destroy()
    await until(async () => !(await isRefused()))
  })
})
