import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Replicable } from '../lib/blob/replicable.ts'
import { systemClock } from '../lib/clock.ts'
import { consumeEvents } from '../lib/event/consume.ts'
import { registryVerification } from '../lib/registry/registry-verification.ts'
import { SYNC_STATE as S } from '../lib/registry/sync-state.ts'
import { SYNC_LEASE } from '../lib/sync/schedule.ts'
import { endingOf } from '../lib/take-over.ts'
import { logVerificationMove } from '../lib/transition-log.ts'
import { VERIFICATION_STATE as V } from '../lib/verification/verification-state.ts'
import { verificationLeaseOf } from '../lib/verification/verify.ts'
import { type AssembledSite, assembleSecondary } from './support/assembled-site.ts'
import { createSpecDatabases, type SpecDatabases } from './support/databases.ts'
import { addHostRow, addRegistryRow, registryRow, untyped } from './support/fixture-rows.ts'
import type { LogLine } from './support/recording-logger.ts'

const LEASE = '5'

let databases: SpecDatabases
let site: AssembledSite
let widgets: Replicable

beforeAll(async () => {
  databases = await createSpecDatabases()
  site = await assembleSecondary(databases)
  widgets = untyped(site.replicables.widgets)
})
afterAll(async () => {
  await site.close()
  await databases.destroy()
})
beforeEach(async () => {
  await databases.main('widgets').delete()
  for (const table of ['widget_registry', 'geo_leases']) await databases.tracking(table).delete()
  site.logger.clear()
})

const registryId = async (id: string) => String((await registryRow(databases.tracking, widgets, id))?.['id'])

async function syncLine(level: LogLine['level'], method: string, from: string, to: string, ids: readonly string[]) {
  const registryIds = await Promise.all(ids.map(registryId))
  const fields = {
    class: 'WidgetRegistry',
    count: ids.length,
    method,
    registry_id: registryIds.join(','),
    model_record_id: ids.join(','),
    from,
    to,
    result: true,
  }
  return { level, message: 'Batch sync state transition', fields }
}

const verificationLine = (
  level: LogLine['level'],
  method: string,
  from: string,
  to: string,
  ids: readonly string[],
) => ({
  level,
  message: 'Batch verification state transition',
  fields: { table: 'widget_registry', count: ids.length, method, from, to, ids: ids.join(',') },
})

const transitions = () => site.logger.lines.filter(({ message }) => message.endsWith('transition'))

describe('A line of the log', () => {
  it('tells of each batch that is fetched, and warns of what failed', async () => {
    const { tracking, main } = databases
    const ids = [
      await addHostRow(main, widgets, { filePath: '../a' }),
      await addHostRow(main, widgets, { filePath: '/b' }),
    ]
    for (const id of ids) await addRegistryRow(tracking, widgets, id)
    const batch = await site.parts.sources.sync.claim()
    expect(site.logger.lines).toEqual([await syncLine('debug', 'claimRows', 'pending', 'started', ids)])
    site.logger.clear()
    if (batch) await site.parts.sources.sync.work(batch)
    expect(transitions()).toEqual([await syncLine('warn', 'markFailed', 'started', 'failed', ids)])
    site.logger.clear()
    await tracking('widget_registry').update({ retry_at: null })
    await site.parts.sources.sync.claim()
    expect(site.logger.lines).toEqual([await syncLine('debug', 'claimRows', 'failed', 'started', ids)])
  })

  it('tells of each batch that is verified, and warns of the failed ones and of their sync', async () => {
    const { tracking, main } = databases
    const ids = [await addHostRow(main, widgets), await addHostRow(main, widgets)]
    for (const id of ids) {
      await main('widget_states').insert({
        widget_id: id,
        verification_state: V.succeeded,
        verification_checksum: Buffer.from('01aa', 'hex'),
      })
      await addRegistryRow(tracking, widgets, id, { state: S.synced, blob_key: 'not/there' })
    }
    const batch = await site.parts.sources.verify.claim()
    if (batch) await site.parts.sources.verify.work(batch)
    expect(site.logger.lines).toEqual([
      verificationLine('debug', 'claim', 'pending', 'started', ids),
      verificationLine('warn', 'record', 'started', 'failed', ids),
      await syncLine('warn', 'record', 'synced', 'failed', ids),
    ])
  })

  it('warns of work that is taken over', async () => {
    const { tracking } = databases
    await addRegistryRow(tracking, widgets, '1', { state: S.started, lease_id: LEASE })
    await addRegistryRow(tracking, widgets, '2', { state: S.synced, verification_state: V.started })
    const end = endingOf(
      'died',
      registryVerification(databases.standby),
      new Map([['widget', widgets]]),
      systemClock,
      site.logger,
      site.parts.signals,
    )
    const lease = { id: LEASE, replicableName: 'widget', recordIds: ['1', '2'], fileKeys: null }
    await tracking.transaction(async (trx) => {
      await end(trx, { ...lease, kind: SYNC_LEASE })
      await end(trx, { ...lease, kind: verificationLeaseOf(widgets) })
    })
    expect(site.logger.lines).toEqual([
      await syncLine('warn', 'takeOver', 'started', 'failed', ['1']),
      verificationLine('warn', 'takeOver', 'started', 'failed', ['2']),
    ])
  })

  it('tells what events have put to pending, and from which states', async () => {
    const { tracking, main } = databases
    const ids = [await addHostRow(main, widgets), await addHostRow(main, widgets)] as const
    await addRegistryRow(tracking, widgets, ids[0], { state: S.started })
    await addRegistryRow(tracking, widgets, ids[1], { state: S.synced, verification_state: V.disabled })
    const event = {
      id: '1',
      xactId: '1',
      replicableName: 'widget',
      createdAt: '2026-11-24T00:00:00Z',
      traceparent: null,
    }
    await tracking.transaction((trx) =>
      consumeEvents(
        trx,
        { replica: main, replicables: site.parts.byName, logger: site.logger, selection: () => null },
        [
          { ...event, eventName: 'updated', recordId: ids[0] },
          { ...event, eventName: 'checksum_succeeded', recordId: ids[1] },
        ],
      ),
    )
    expect(site.logger.lines).toEqual([
      await syncLine('debug', 'resyncRecords', 'started', 'pending', [ids[0]]),
      verificationLine('debug', 'wakeVerification', 'disabled', 'pending', [ids[1]]),
    ])
  })
})

describe('The log of transitions', () => {
  const move = { method: 'record', from: 'started', to: 'succeeded' } as const

  it('tells nothing of what was rolled back', async () => {
    const attempt = databases.tracking.transaction(async (trx) => {
      logVerificationMove(trx, site.logger, 'widget_registry', move, ['1'])
      throw new Error('no')
    })
    await expect(attempt).rejects.toThrow('no')
    expect(site.logger.lines).toEqual([])
  })

  it('outlives a logger that throws', async () => {
    const debug = () => {
      throw new Error('the disk of the log is full')
    }
    await databases.tracking.transaction(async (trx) => {
      logVerificationMove(trx, { ...site.logger, debug }, 'widget_registry', move, ['1'])
    })
    expect(site.logger.lines).toEqual([])
  })
})
