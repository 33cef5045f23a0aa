import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { isUnfinished } from '../../lib/transfer/part.ts'
import { bytesOf, comparedBlobs } from '../support/blob-files.ts'
import { folderContents } from '../support/folder-contents.ts'
import { type HoldingProxy, startHoldingProxy } from '../support/holding-proxy.ts'
import { startTwoSites, type TwoSites } from '../support/two-sites.ts'
import { until } from '../support/until.ts'

const MEBIBYTE = 1024 * 1024
const TIMEOUT_MS = 40_000

let sites: TwoSites
let proxy: HoldingProxy

beforeAll(async () => {
  sites = await startTwoSites({
    flags: { widgets: true, gadgets: true },
    between: async (primaryUrl) => {
      proxy = await startHoldingProxy(primaryUrl)
      return proxy.url
    },
  })
})
afterAll(async () => {
  await sites?.stop()
  await proxy?.close()
})

const unfinished = async () =>
  (await folderContents(sites.secondary.blobsDir)).filter((entry) =>
    entry.split('/').some((segment) => isUnfinished(segment)),
  )

it("An update that changes a row's key brings the new file and removes the old one on every site, also while the old one is on its way", {
  timeout: 180_000,
}, async () => {
  const { primary, secondary, databases } = sites
  const later = randomBytes(3 * MEBIBYTE)
  proxy.hold(2 * MEBIBYTE)
  const before = await sites.upload('gadgets', 'before.bin', randomBytes(24 * MEBIBYTE))
  await until(async () => (await unfinished()).some((entry) => !entry.includes('.etag')), TIMEOUT_MS)

  const after = await sites.replace('gadgets', before.id, 'after.bin', later)
  expect(after.key).not.toBe(before.key)
  expect(await bytesOf(primary, before.key)).toBeNull()
  // The secondary has heard of it, and the old transfer is under way still.
  const registered = () => databases.tracking('gadget_registry').where('gadget_id', before.id).first()
  await until(async () => (await registered())?.state === SYNC_STATE.pending, TIMEOUT_MS)
  expect((await registered())?.lease_id).not.toBeNull()
  expect(await bytesOf(secondary, before.key)).toBeNull()

  proxy.release()
  await sites.untilVerified({ widgets: 0, gadgets: 1 })
  expect((await bytesOf(secondary, after.key))?.equals(later)).toBe(true)
  await until(async () => (await bytesOf(secondary, before.key)) === null, TIMEOUT_MS)
  expect(await comparedBlobs(primary, secondary)).toEqual({ equalFiles: 1, differences: [] })
  expect(await unfinished()).toEqual([])
})
