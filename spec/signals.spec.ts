import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from 'vitest'
import { endDeadLeases } from '../lib/other-leases.ts'
import { SYNC_STATE as S } from '../lib/registry/sync-state.ts'
import type { SIGNALS } from '../lib/signal-catalogue.ts'
import { type GeoSignalName, type GeoSignals, Signals } from '../lib/signals.ts'
import { step } from '../lib/testing/settle.ts'
import { addLease, addRegistryRow } from './support/fixture-rows.ts'
import { recordingLogger } from './support/recording-logger.ts'
import { createSecondarySite, type SecondarySite } from './support/secondary-site.ts'

const removed = { type: 'widget', id: '1' }

describe('A listener of the host', () => {
  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('of the host')
      },
    ],
    ['rejects', async () => Promise.reject(new Error('of the host'))],
    ['rejects with the promise of another realm', () => runInNewContext('Promise.reject(new Error("of the host"))')],
  ])('that %s is one line of the log, and the others hear all the same', async (_how, listener) => {
    const unhandled: unknown[] = []
    const keep = (reason: unknown) => void unhandled.push(reason)
    process.on('unhandledRejection', keep)
    const logger = recordingLogger()
    const signals = new Signals(logger)
    const heard: unknown[] = []
    signals.on('blob:removed', listener)
    signals.on('blob:removed', (told) => heard.push(told))
    signals.tell('blob:removed', removed)
    await new Promise((resolve) => setImmediate(resolve))
    expect(heard).toEqual([removed])
    expect(logger.lines).toMatchObject([
      {
        level: 'error',
        fields: { signal: 'blob:removed', error: expect.stringContaining('of the host') },
        message: 'A listener of the host failed',
      },
    ])
    process.off('unhandledRejection', keep)
    expect(unhandled).toEqual([])
  })

  it('hears until it ends that, and one that is added meanwhile hears from the next time on', () => {
    const signals = new Signals(recordingLogger())
    const heard: string[] = []
    const off = signals.on('blob:removed', ({ id }) => {
      heard.push(`first ${id}`)
      signals.on('blob:removed', (told) => heard.push(`later ${told.id}`))
    })
    signals.tell('blob:removed', removed)
    off()
    signals.tell('blob:removed', { ...removed, id: '2' })
    expect(heard).toEqual(['first 1', 'later 2'])
  })
})

let paris: SecondarySite
beforeAll(async () => {
  paris = await createSecondarySite()
})
afterAll(() => paris?.close())

describe('geo.on', () => {
  it('is typed by the name', () => {
    const { geo } = paris
    geo.on('blob:synced', (told) => expectTypeOf(told).toEqualTypeOf<GeoSignals['blob:synced']>())()
    expectTypeOf<GeoSignalName>().toEqualTypeOf<keyof typeof SIGNALS>()
    // @ts-expect-error there is no such field
    geo.on('blob:removed', ({ bytes }) => bytes)()
  })

  it('refuses a name that nothing is told under, and a listener that cannot be called', () => {
    const on = paris.geo.on as unknown as (name: string, listener: unknown) => void
    expect(() => on('blob:sinced', () => undefined)).toThrow(/"blob:sinced".*blob:synced/)
    expect(() => on('toString', () => undefined)).toThrow(/"toString"/)
    expect(() => on('blob:synced', null)).toThrow(/function/)
  })

  it('tells of blobs whose worker was lost, once they are taken over', async () => {
    const { tracking } = paris.databases
    const lease = await addLease(tracking, { recordIds: ['7'], secondsLeft: -1 })
    await addRegistryRow(tracking, paris.widgets, '7', { state: S.started, lease_id: lease })
    const failed: GeoSignals['blob:failed'][] = []
    const off = paris.geo.on('blob:failed', (told) => failed.push(told))
    const rolledBack = new Error('rolled back')
    expect(await endDeadLeases(tracking, ['widget'], () => Promise.reject(rolledBack))).toEqual({
      count: 0,
      failures: [rolledBack],
    })
    expect(failed).toEqual([])
    await step(paris.assembly, 'end-dead-leases')
    off()
    expect(failed).toEqual([
      {
        type: 'widget',
        id: '7',
        during: 'sync',
        code: 'WORKER_LOST',
        message: 'The process that worked on this blob stopped answering',
        retryInSeconds: null,
      },
    ])
  })
})
