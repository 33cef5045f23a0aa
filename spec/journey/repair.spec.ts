import { rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findingsSoFar, recordFindings } from '../../fixtures/demo/findings.ts'
import { CORRUPT_PREFIX } from '../../lib/blob/primary-checksum.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { SMALL_BLOB_BYTES } from '../../lib/transfer/frame.ts'
import { VERIFICATION_STATE } from '../../lib/verification/verification-state.ts'
import { bytesOf, spoilByte } from '../support/blob-files.ts'
import { secondsFromNow } from '../support/fixture-rows.ts'
import type { Stored } from '../support/site-client.ts'
import { startTwoSites, type TwoSites } from '../support/two-sites.ts'
import { until } from '../support/until.ts'

const LARGE = Buffer.alloc(SMALL_BLOB_BYTES + 1, 'large ')
const TIMEOUT_MS = 40_000

describe('a fault', { timeout: 180_000 }, () => {
  let sites: TwoSites
  let stored: { healthy: Stored; spoilt: Stored; removed: Stored; large: Stored }

  beforeAll(async () => {
    sites = await startTwoSites({ flags: { widgets: true, gadgets: true } })
    stored = {
      healthy: await sites.upload('widgets', 'healthy.txt', 'healthy'),
      spoilt: await sites.upload('widgets', 'spoilt.txt', 'will be spoilt'),
      removed: await sites.upload('widgets', 'removed.txt', 'will be removed'),
      large: await sites.upload('widgets', 'large.txt', LARGE),
    }
    await sites.untilVerified({ widgets: 4, gadgets: 0 })
    await recordFindings(sites.databases.tracking, ['widgets'])
  })
  afterAll(() => sites?.stop())

  const registryOf = ({ id }: Stored) => sites.databases.tracking('widget_registry').where('widget_id', id)
  const stateOf = ({ id }: Stored) => sites.databases.main('widget_states').where('widget_id', id)
  const inADay = () => secondsFromNow(sites.databases.tracking, 86_400)
  const untilState = (row: Stored, state: number) =>
    until(async () => (await stateOf(row).first()).verification_state === state, TIMEOUT_MS)
  const untilFailed = (row: Stored) =>
    until(async () => (await registryOf(row).first()).state === SYNC_STATE.failed, TIMEOUT_MS)

  it('in copies of the secondary is found when they are hashed again, and healed', async () => {
    const { spoilt, removed } = stored
    await spoilByte(sites.secondary, spoilt.key)
    await unlink(join(sites.secondary.blobsDir, removed.key))

    expect(await sites.bulk({ action: 'reverify', type: 'widget' })).toMatchObject({ examined: 4, changed: 4 })
    await until(async () => (await findingsSoFar(sites.databases.tracking)).length >= 2, TIMEOUT_MS)
    await sites.untilVerified({ widgets: 4, gadgets: 0 })
    expect((await bytesOf(sites.secondary, spoilt.key))?.toString()).toBe('will be spoilt')
    expect((await bytesOf(sites.secondary, removed.key))?.toString()).toBe('will be removed')
    // The second note of a finding is of the copy that has been fetched anew: its code is gone, its failure not yet.
    const found = (await findingsSoFar(sites.databases.tracking))
      .map(({ id, code }) => ({ id, code }))
      .filter(({ code }) => code !== 'unknown')
    expect(new Set(found)).toEqual(
      new Set([
        { id: spoilt.id, code: 'VERIFICATION_MISMATCH' },
        { id: removed.id, code: 'FILE_MISSING' },
      ]),
    )
  })

  describe.each(['small', 'large'] as const)('in a %s file of the primary', (size) => {
    const victimOf = (): Stored => (size === 'small' ? stored.healthy : stored.large)
    const original = size === 'small' ? Buffer.from('healthy') : LARGE

    it('is reported there, with the recorded checksum kept', async () => {
      const before = await stateOf(victimOf()).first()
      await spoilByte(sites.primary, victimOf().key)
      await stateOf(victimOf()).update({ verification_state: VERIFICATION_STATE.pending })

      await untilState(victimOf(), VERIFICATION_STATE.failed)
      const after = await stateOf(victimOf()).first()
      expect(after.verification_failure).toMatch(new RegExp(`^${CORRUPT_PREFIX}: Widget #${victimOf().id} `))
      expect(after.verification_checksum).toEqual(before.verification_checksum)
    })

    it('does not travel: the primary refuses it, and the good copy stays', async () => {
      await sites.databases.caughtUp()
      await registryOf(victimOf()).update({ state: SYNC_STATE.pending })

      await untilFailed(victimOf())
      const refused = await registryOf(victimOf()).first()
      expect(refused.error_code).toBe('CORRUPT_ON_PRIMARY')
      expect(await bytesOf(sites.secondary, victimOf().key)).toEqual(original)
      expect((await stateOf(victimOf()).first()).verification_checksum).not.toBeNull()
    })

    it('is over when the file is restored there', async () => {
      await registryOf(victimOf()).update({ retry_at: inADay() })
      // The same byte, turned back.
      await spoilByte(sites.primary, victimOf().key)
      await stateOf(victimOf()).update({ verification_state: VERIFICATION_STATE.pending })
      await untilState(victimOf(), VERIFICATION_STATE.succeeded)
      // Word of it makes the row due, which had failed and waited.
      await sites.untilVerified({ widgets: 4, gadgets: 0 })
      expect(await bytesOf(sites.secondary, victimOf().key)).toEqual(original)
    })
  })

  it.each(['small', 'large'] as const)(
    'of a %s file that is missing on the primary has its name, and heals',
    async (size) => {
      const victim = size === 'small' ? stored.removed : stored.large
      const path = join(sites.primary.blobsDir, victim.key)
      const before = await bytesOf(sites.secondary, victim.key)
      await rename(path, `${path}.away`)
      await registryOf(victim).update({ state: SYNC_STATE.pending })

      await untilFailed(victim)
      expect(await registryOf(victim).first()).toMatchObject({
        error_code: 'FILE_NOT_FOUND',
        last_sync_failure: 'The file is missing on the Geo primary site',
        retry_count: 1,
      })
      expect(await bytesOf(sites.secondary, victim.key)).toEqual(before)

      await rename(`${path}.away`, path)
      await registryOf(victim).update({ retry_at: sites.databases.tracking.fn.now() })
      await sites.untilVerified({ widgets: 4, gadgets: 0 })
      expect(await registryOf(victim).first()).toMatchObject({ error_code: null, last_sync_failure: null })
    },
  )
})
