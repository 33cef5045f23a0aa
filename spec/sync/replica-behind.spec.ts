import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { requestRemoval } from '../../lib/registry/removal.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { addRegistryRow, registeredIds } from '../support/fixture-rows.ts'
import { createSecondarySite, SECONDARY_NAME, type SecondarySite } from '../support/secondary-site.ts'

let paris: SecondarySite

beforeAll(async () => {
  paris = await createSecondarySite()
})
afterAll(() => paris.close())

/** A copy that the row of the host is not there for: removed, or on this standby not yet. */
beforeEach(async () => {
  const { root, widgets, databases } = paris
  await databases.tracking('geo_event_cursors').delete()
  await databases.tracking('widget_registry').delete()
  await paris.run('events')
  await addRegistryRow(databases.tracking, widgets, '1', { state: SYNC_STATE.synced, blob_key: 'file' })
  await writeFile(join(root, 'file'), 'bytes')
  await requestRemoval(databases.tracking, widgets, ['1'])
})

/** As after a failover of the standby: what the site has read of the one before is still to come to this one. */
const moveCursor = (transactions: number) =>
  paris.databases.tracking('geo_event_cursors').update({
    xact_id: paris.databases.tracking.raw('(xact_id::text::bigint + ?)::text::xid8', [transactions]),
  })
const file = () => readFile(join(paris.root, 'file'), 'utf8')
const removal = () => paris.assembly.sources.remove
const said = () =>
  paris.logger.lines.filter(({ message }) => message.includes('has not got to what this site has read'))

it('Nothing is removed by what a standby says that is behind the one before it', async () => {
  const { widgets, databases, clock } = paris
  await moveCursor(1_000_000)
  for (let look = 0; look < 3; look += 1) {
    expect(await removal().claim()).toBeNull()
    clock.advance(1000)
  }
  expect(await file()).toBe('bytes')
  expect(said()).toHaveLength(1)
  expect(said()[0]).toMatchObject({ fields: { siteName: SECONDARY_NAME } })

  await moveCursor(-1_000_000)
  const batch = await removal().claim()
  if (!batch) throw new Error('The standby has caught up, and nothing is removed')
  await removal().work(batch)
  await expect(file()).rejects.toThrow('ENOENT')
  expect(await registeredIds(databases.tracking, widgets)).toEqual([])
})

it('Nothing is removed where such a standby takes its place after the claim', async () => {
  const { widgets, databases, clock } = paris
  const batch = await removal().claim()
  if (!batch) throw new Error('There is nothing to remove')
  await moveCursor(1_000_000)
  await removal().work(batch)
  expect(await file()).toBe('bytes')
  expect(await registeredIds(databases.tracking, widgets)).toEqual(['1'])

  await moveCursor(-1_000_000)
  clock.advance(1000)
  const again = await removal().claim()
  if (!again) throw new Error('The standby has caught up, and nothing is removed')
  await removal().work(again)
  await expect(file()).rejects.toThrow('ENOENT')
})
