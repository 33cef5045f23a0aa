import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { exitCodeOf } from '../../lib/cli/demote.ts'
import { demote } from '../../lib/demoting.ts'
import { clusterIdentity, notePromoted, saveCursor } from '../../lib/event/cursor.ts'
import { BEGINNING } from '../../lib/event/event-log.ts'
import { createSecondarySite, SECONDARY_NAME, type SecondarySite } from '../support/secondary-site.ts'

let paris: SecondarySite

beforeAll(async () => {
  paris = await createSecondarySite()
})
afterAll(() => paris.close())
beforeEach(async () => {
  await paris.databases.tracking('geo_event_cursors').delete()
})

async function follow(timeline?: number): Promise<void> {
  const { tracking, standby } = paris.databases
  const identity = await clusterIdentity(standby)
  const cursor = { ...BEGINNING, ...identity, ...(timeline && { timeline }) }
  await saveCursor(tracking, SECONDARY_NAME, cursor, { eventCreatedAt: null, fromReplica: true })
}

const back = { step: 'back', site: 'paris', primary: 'rome' }

describe('A former primary whose database is a replica', () => {
  it('is back with a tracking database that is empty, or follows the log of the new primary already', async () => {
    expect(await demote(paris.assembly)).toEqual(back)
    await follow()
    expect(await demote(paris.assembly)).toEqual(back)
  })

  it('is not with one from before it was the primary, enabled or not, and health says so', async () => {
    await follow()
    await notePromoted(paris.databases.tracking, SECONDARY_NAME)
    // Its processes follow on with it.
    await follow()
    await expect(demote(paris.assembly)).rejects.toMatchObject({ code: 'TRACKING_DATABASE_REUSED' })
    const { findings } = await paris.geo.health()
    expect(findings.map(({ code }) => code)).toContain('TRACKING_DATABASE_REUSED')
  })

  it('is enabled by the new primary unless its tracking database followed another log', async () => {
    await paris.update({ enabled: false })
    await follow()
    // There is nobody to be asked here.
    await expect(demote(paris.assembly)).rejects.toMatchObject({ code: 'PRIMARY_UNREACHABLE' })
    await follow(99)
    await expect(demote(paris.assembly)).rejects.toMatchObject({ code: 'TRACKING_DATABASE_REUSED' })
    await paris.update({ enabled: true })
  })
})

describe('geo demote', () => {
  const promotion = {
    epoch: 1002,
    siteName: 'paris',
    formerSiteName: 'tokyo',
    promotedAt: '2026-01-01T00:00:00.000Z',
    replayedAt: null,
    sealed: false,
    arrivedBelow: '1',
    arrivedXactIds: [],
  }
  const left = (unarrived: { records: []; incomplete: boolean }) =>
    exitCodeOf({ step: 'left', site: 'tokyo', promotion, unarrived })

  it('does not end as if nothing was missing where it cannot know', () => {
    expect(left({ records: [], incomplete: false })).toBe(0)
    expect(left({ records: [], incomplete: true })).toBe(1)
  })
})
