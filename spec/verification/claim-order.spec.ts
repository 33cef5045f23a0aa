import { afterAll, beforeAll, expect, it } from 'vitest'
import { encodeDigest } from '../../lib/blob/digest.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { type AssembledSite, assembleSecondary } from '../support/assembled-site.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { digestOf } from '../support/verifying-site.ts'

let databases: SpecDatabases
let site: AssembledSite

beforeAll(async () => {
  databases = await createSpecDatabases()
  site = await assembleSecondary(databases, { secondary: { verificationMaxCapacity: 1000 } })
})
afterAll(async () => {
  await site?.close()
  await databases.destroy()
})

it('Copies to be verified and due retries have a share each, so that neither starves', async () => {
  const checksum = encodeDigest(await digestOf('bytes'))
  for (const state of [V.pending, V.failed]) {
    await databases.tracking.raw(
      `insert into widget_registry (widget_id, created_at, state, blob_key, verification_state, verification_checksum)
       select ? + n, now(), ${SYNC_STATE.synced}, 'key', ?, ? from generate_series(1, 2000) n`,
      [state * 100_000, state, checksum],
    )
  }
  const claimed = (await site.parts.sources.verify.claim())?.claimed ?? []
  const states = claimed.map(({ id }) => Math.floor(Number(id) / 100_000))
  expect(states.filter((state) => state === V.pending)).toHaveLength(90)
  expect(states.filter((state) => state === V.failed)).toHaveLength(10)
})
