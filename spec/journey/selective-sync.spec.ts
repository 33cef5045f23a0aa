import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { updateSite } from '../../lib/site-table.ts'
import { bytesOf } from '../support/blob-files.ts'
import type { Stored } from '../support/site-client.ts'
import { SECONDARY, startTwoSites, type TwoSites } from '../support/two-sites.ts'
import { until } from '../support/until.ts'

/** Five seconds to follow a change of the site, and what the work itself takes. */
const FOLLOWED_MS = 15_000

describe('a scope that is set, changed and cleared while both sites run', { timeout: 180_000 }, () => {
  let sites: TwoSites

  beforeAll(async () => {
    sites = await startTwoSites({ flags: { widgets: true, gadgets: true } })
  })
  afterAll(() => sites?.stop())

  async function upload(owner: string | null): Promise<Stored> {
    const stored = await sites.upload('widgets', `of ${owner}.txt`, `bytes of ${owner}`)
    await sites.databases.main('widgets').where({ id: stored.id }).update({ owner })
    return stored
  }

  const select = (...owners: string[]) =>
    updateSite(sites.databases.main, SECONDARY, { selectiveSync: { type: 'namespaces', namespaceIds: owners } })

  /** Resolves when the secondary has registries and files of exactly these, verified. */
  async function untilHeld(all: readonly Stored[], held: readonly Stored[]): Promise<void> {
    await until(async () => {
      const files = await Promise.all(all.map(({ key }) => bytesOf(sites.secondary, key)))
      return all.every((stored, position) => (files[position] !== null) === held.includes(stored))
    }, FOLLOWED_MS)
    await sites.untilVerified({ widgets: held.length, gadgets: 0 })
  }

  it('brings rows in and sends rows out, with their files', async () => {
    const [ann, bob, nobody] = [await upload('ann'), await upload('bob'), await upload(null)]
    const all = [ann, bob, nobody]
    await untilHeld(all, all)

    await select('ann')
    await untilHeld(all, [ann, nobody])
    const later = await upload('bob')
    await select('bob')
    await untilHeld([...all, later], [bob, nobody, later])

    await updateSite(sites.databases.main, SECONDARY, { selectiveSync: null })
    await untilHeld([...all, later], [...all, later])
    const { rows } = await sites.databases.main.raw(
      'select count(*)::int as checksummed from widget_states where verification_checksum is not null',
    )
    expect(rows[0].checksummed).toBe(4)
  })

  it('leave the primary informed of how far the secondary has read', async () => {
    const { main, tracking } = sites.databases
    await until(async () => {
      const told = await main('geo_node_statuses').whereNotNull('cursor_xact_id').first()
      const read = await tracking('geo_event_cursors').first()
      return told !== undefined && told.cursor_xact_id === read.xact_id && told.cursor_event_id === read.event_id
    }, FOLLOWED_MS)
  })
})
