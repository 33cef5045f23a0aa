import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SYNC_STATE as S } from '../../lib/registry/sync-state.ts'
import { logSyncMoved } from '../../lib/transition-log.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { addHostRow, addRegistryRow } from '../support/fixture-rows.ts'
import { createSecondarySite, type SecondarySite } from '../support/secondary-site.ts'

const XXH64 = Buffer.from('01aaaaaaaaaaaaaaaa', 'hex')

let site: SecondarySite

beforeAll(async () => {
  site = await createSecondarySite()
})
afterAll(() => site.close())
beforeEach(async () => {
  await site.databases.main('widgets').delete()
  await site.databases.tracking('widget_registry').delete()
  site.clock.advance(60_000)
  await site.run('reconcile')
  site.logger.clear()
})

const transitions = () => site.logger.lines.filter(({ message }) => message.endsWith('transition'))

async function pass(): Promise<void> {
  site.clock.advance(60_000)
  await site.run('reconcile')
}

/** Rows with copies in the given state, and the ids of both. */
async function addCopies(columns: object, checksum: Buffer | null = null): Promise<[string, string]> {
  const { main, tracking } = site.databases
  const ids: [string, string] = [await addHostRow(main, site.widgets), await addHostRow(main, site.widgets)]
  for (const widget_id of ids) {
    if (checksum) {
      const state = { verification_state: V.succeeded, verification_checksum: checksum }
      await main('widget_states').insert({ widget_id, ...state })
    }
    await addRegistryRow(tracking, site.widgets, widget_id, { state: S.synced, blob_key: 'some/file', ...columns })
  }
  return ids
}

const verificationLine = (from: string, ids: readonly string[]) => ({
  level: 'debug',
  message: 'Batch verification state transition',
  fields: {
    table: 'widget_registry',
    count: ids.length,
    method: 'wakeUnverified',
    from,
    to: 'pending',
    ids: ids.join(','),
  },
})

const syncLine = (method: string, from: string, ids: readonly string[]) => ({
  level: 'debug',
  message: 'Batch sync state transition',
  fields: {
    class: 'WidgetRegistry',
    count: ids.length,
    method,
    model_record_id: ids.join(','),
    from,
    to: 'pending',
    result: true,
  },
})

describe('What a pass of reconciliation mends is one line of the log for each batch:', () => {
  it('copies under another key than their rows name', async () => {
    const ids = await addCopies({ blob_key: 'former' })
    await pass()
    expect(transitions()).toEqual([syncLine('resyncMoved', 'synced', ids)])
    await pass()
    expect(transitions()).toHaveLength(1)
  })

  it('copies that no checksum was compared with', async () => {
    const ids = await addCopies({ verification_state: V.disabled }, XXH64)
    await pass()
    expect(transitions()).toEqual([verificationLine('disabled', ids)])
  })

  it('copies that another checksum was compared with', async () => {
    const ids = await addCopies({ verification_state: V.succeeded, verification_checksum: Buffer.of(1, 2) }, XXH64)
    await pass()
    expect(transitions()).toEqual([verificationLine('succeeded', ids)])
  })

  it('rows that came back before they were removed, by the states in which they were', async () => {
    const removal = { removal_requested_at: new Date(0) }
    const ids = await addCopies(removal)
    const [failed] = await addCopies({ ...removal, state: S.failed })
    await site.databases
      .tracking('widget_registry')
      .where({ widget_id: Number(failed) + 1 })
      .delete()
    await pass()
    expect(transitions()).toHaveLength(2)
    expect(transitions()).toEqual(
      expect.arrayContaining([
        syncLine('cancelRemovals', 'synced', ids),
        syncLine('cancelRemovals', 'failed', [failed]),
      ]),
    )
  })
})

it('A line about very many rows is cut behind one of their keys, and says how many they are', async () => {
  const keys = Array.from({ length: 10_000 }, (_, number) => String(9_007_199_254_740_993n + BigInt(number)))
  const moved = { count: keys.length, literal: `{${keys.join(',')}}` }
  logSyncMoved(null, site.logger, site.widgets, { method: 'resyncMoved', from: 'synced', to: 'pending' }, moved)
  await Promise.resolve()
  const [line] = transitions()
  const told = String(line?.fields['model_record_id'])
  expect(line?.fields['count']).toBe(10_000)
  expect(told.length).toBeLessThanOrEqual(16_384)
  expect(told.length).toBeGreaterThan(16_000)
  expect(told).toMatch(/,…$/)
  expect(keys).toContain(told.split(',').at(-2))
})
