import { mkdir, mkdtemp, readdir, rm, stat, truncate, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import type { Replicable } from '../../lib/blob/replicable.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { SMALL_BLOB_BYTES } from '../../lib/transfer/frame.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { bytesOf, spoilByte } from '../support/blob-files.ts'
import { geo, writeSiteConfig } from '../support/cli.ts'
import { secondsFromNow, untyped } from '../support/fixture-rows.ts'
import { changeState, stateOf } from '../support/primary-records.ts'
import type { Stored, UploadType } from '../support/site-client.ts'
import { PRIMARY, startTwoSites, type TwoSites } from '../support/two-sites.ts'
import { until } from '../support/until.ts'

const LARGE = Buffer.alloc(3 * SMALL_BLOB_BYTES, 'large ')
const TIMEOUT_MS = 30_000

interface Damaged {
  readonly type: UploadType
  readonly stored: Stored
  readonly bytes: Buffer
}

describe('geo repair', { timeout: 180_000 }, () => {
  let sites: TwoSites
  let folder: string
  let types: Record<UploadType, Replicable>
  const blobs: Record<string, Damaged> = {}

  beforeAll(async () => {
    sites = await startTwoSites({ flags: { widgets: true, gadgets: true } })
    folder = await mkdtemp(join(tmpdir(), 'geo-repair-'))
    const { widgets, gadgets } = declareReplicables(sites.primary.blobsDir)
    types = { widgets: untyped(widgets), gadgets: untyped(gadgets) }
    await writeSiteConfig(folder, 'geo.config.mjs', {
      siteName: PRIMARY,
      mainUrl: sites.primary.environment['MAIN_DATABASE_URL'] ?? '',
      blobsDir: sites.primary.blobsDir,
      encryptionKey: sites.encryptionKey,
    })
    const upload = async (name: string, type: UploadType, bytes: Buffer) => {
      blobs[name] = { type, bytes, stored: await sites.upload(type, `${name}.txt`, bytes) }
    }
    await upload('untouched', 'widgets', Buffer.from('untouched'))
    await upload('flipped', 'widgets', Buffer.from('will be flipped'))
    await upload('cut', 'gadgets', LARGE)
    await upload('missing', 'gadgets', Buffer.from('will be removed'))
    await upload('restored', 'widgets', Buffer.from('will be restored by hand'))
    await upload('hopeless', 'widgets', Buffer.from('will be lost on both sites'))
    await sites.untilVerified({ widgets: 4, gadgets: 2 })
  })
  afterAll(async () => {
    await sites?.stop()
    await rm(folder, { recursive: true, force: true })
  })

  const blob = (name: string): Damaged => {
    const found = blobs[name]
    if (!found) throw new Error(`No blob ${name}`)
    return found
  }
  const state = (name: string) => stateOf(sites.databases.main, types[blob(name).type], blob(name).stored.id)
  const hashAgain = (name: string) =>
    changeState(sites.databases.main, types[blob(name).type], blob(name).stored.id, {
      verification_state: V.pending,
      verification_retry_at: null,
    })
  const untilState = (name: string, wanted: number) =>
    until(async () => (await state(name)).verification_state === wanted, TIMEOUT_MS, name)
  const path = (name: string) => join(sites.primary.blobsDir, blob(name).stored.key)
  const records = (stdout: string): Record<string, unknown>[] =>
    (JSON.parse(stdout) as { records: Record<string, unknown>[] }[]).flatMap((result) => result.records)
  const told = (name: string, stdout: string) => records(stdout).find(({ id }) => id === blob(name).stored.id)

  it('brings corrupt and missing files back from a verified copy, and touches no other', async () => {
    await spoilByte(sites.primary, blob('flipped').stored.key)
    await truncate(path('cut'), 1000)
    await unlink(path('missing'))
    for (const name of ['flipped', 'cut', 'missing']) await hashAgain(name)
    for (const name of ['flipped', 'cut', 'missing']) await untilState(name, V.failed)
    const before = { state: await state('untouched'), mtime: (await stat(path('untouched'))).mtimeMs }

    const looked = await geo(folder, 'repair', '--dry-run', '--json')
    expect(looked.status).toBe(1)
    expect(records(looked.stdout).map(({ outcome }) => outcome)).toEqual(['damaged', 'damaged', 'damaged'])
    expect(await bytesOf(sites.primary, blob('missing').stored.key)).toBeNull()

    const ended = await geo(folder, 'repair', '--json')
    expect(ended).toMatchObject({ status: 0, stderr: '' })
    for (const name of ['flipped', 'cut', 'missing']) {
      const { stored, bytes } = blob(name)
      expect(told(name, ended.stdout)).toEqual({
        id: stored.id,
        key: stored.key,
        outcome: 'repaired',
        from: 'paris',
        reasons: [],
      })
      expect(await bytesOf(sites.primary, stored.key)).toEqual(bytes)
      // Hashed again by the primary's own process: verification succeeds, and the report is over.
      await untilState(name, V.succeeded)
      expect((await state(name)).verification_failure).toBeNull()
    }
    expect(await state('untouched')).toEqual(before.state)
    expect((await stat(path('untouched'))).mtimeMs).toBe(before.mtime)
    expect(records(ended.stdout)).toHaveLength(3)
    expect((await geo(folder, 'repair')).stdout).toBe(
      'widget: nothing is known to be damaged\ngadget: nothing is known to be damaged\n',
    )
    const left = await readdir(sites.primary.blobsDir, { recursive: true })
    expect(left.filter((name) => /\.geo-(tmp|part)/.test(name))).toEqual([])
  })

  it('leaves a good file alone that someone has restored meanwhile', async () => {
    await spoilByte(sites.primary, blob('restored').stored.key)
    await hashAgain('restored')
    await untilState('restored', V.failed)
    const { id } = blob('restored').stored
    const registry = () => sites.databases.tracking('widget_registry').where({ widget_id: id })
    await sites.databases.caughtUp()
    await registry().update({ state: SYNC_STATE.pending })
    await until(async () => (await registry().first()).error_code === 'CORRUPT_ON_PRIMARY', TIMEOUT_MS)
    await registry().update({ retry_at: secondsFromNow(sites.databases.tracking, 86_400) })
    await writeFile(path('restored'), blob('restored').bytes)
    const { mtimeMs, ino } = await stat(path('restored'))
    const ended = await geo(folder, 'repair', '--type', 'widget', '--id', blob('restored').stored.id)
    expect(ended).toMatchObject({ status: 0, stderr: '' })
    expect(ended.stdout).toMatch(
      /^widget #\d+ ".*": is good as it is\nwidget: 1 looked at, 0 repaired, 1 good, 0 damaged\n$/,
    )
    expect(await stat(path('restored'))).toMatchObject({ mtimeMs, ino })
    await untilState('restored', V.succeeded)
    // The secondary, which the primary had refused, does not wait for its retry.
    await until(async () => (await registry().first()).state === SYNC_STATE.synced, TIMEOUT_MS)
  })

  it('says so where there is no good copy anywhere, with 1, and does not bring a bad one', async () => {
    const { stored } = blob('hopeless')
    await spoilByte(sites.primary, stored.key)
    await spoilByte(sites.secondary, stored.key)
    const bad = await bytesOf(sites.primary, stored.key)
    await hashAgain('hopeless')
    await untilState('hopeless', V.failed)
    const ended = await geo(folder, 'repair', '--json')
    expect(ended.status).toBe(1)
    expect(told('hopeless', ended.stdout)).toEqual({
      id: stored.id,
      key: stored.key,
      outcome: 'failed',
      from: null,
      reasons: [
        { site: 'paris', code: 'COPY_NOT_VERIFIED', message: expect.stringContaining('does not hash to the recorded') },
      ],
    })
    expect(await bytesOf(sites.primary, stored.key)).toEqual(bad)
    expect((await state('hopeless')).verification_failure).toMatch(/^CORRUPT_ON_PRIMARY: /)
  })

  it('does not take a folder away that lies where the file should be', async () => {
    const { stored } = blob('hopeless')
    await unlink(path('hopeless'))
    await mkdir(path('hopeless'))
    const ended = await geo(folder, 'repair', '--type', 'widget', '--id', stored.id)
    expect(ended.status).toBe(1)
    expect(ended.stdout).toContain('not repaired\n  tokyo: NOT_A_FILE: ')
  })

  it('names a site that does not answer', async () => {
    await sites.secondary.stop()
    await spoilByte(sites.primary, blob('flipped').stored.key)
    await hashAgain('flipped')
    await untilState('flipped', V.failed)
    const ended = await geo(folder, 'repair', '--id', blob('flipped').stored.id, '--type', 'widget')
    expect(ended.status).toBe(1)
    expect(ended.stdout).toMatch(/not repaired\n {2}paris: SITE_UNREACHABLE: The site "paris" does not answer: /)
  })

  it('explains itself', async () => {
    const { stdout } = await geo(folder, 'repair', '--help')
    for (const word of ['--type <name>', '--id <key>', '--dry-run', '--json', 'Exit codes:']) {
      expect(stdout).toContain(word)
    }
  })
})
