import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bytesOf } from '../support/blob-files.ts'
import { countRequests, type RequestCounter } from '../support/request-counter.ts'
import type { Stored } from '../support/site-client.ts'
import { startTwoSites, type TwoSites } from '../support/two-sites.ts'

/**
 * That nothing happens to one type is shown by the other: both flags are in one file, so when the gadgets of a change have
 * been verified, both processes have long known what the same change said of widgets.
 */
describe('the flag of a type', { timeout: 180_000 }, () => {
  let sites: TwoSites
  let requests: RequestCounter
  const pids: (number | undefined)[] = []

  beforeAll(async () => {
    sites = await startTwoSites({
      flags: { widgets: false, gadgets: false },
      between: async (primaryUrl) => {
        requests = await countRequests(primaryUrl)
        return requests.url
      },
    })
    pids.push(sites.primary.pid, sites.secondary.pid)
  })
  afterAll(async () => {
    await sites?.stop()
    await requests?.close()
  })

  async function eventsOf(replicable: 'widget' | 'gadget'): Promise<string[]> {
    return sites.databases.main('geo_events').where('replicable_name', replicable).orderBy('id').pluck('event_name')
  }

  /** All that replication would leave behind of a widget. */
  async function tracesOf({ id, key }: Stored): Promise<unknown> {
    const { main, tracking } = sites.databases
    return {
      events: await main('geo_events').whereRaw("payload ->> 'model_record_id' = ?", [id]).pluck('event_name'),
      states: await main('widget_states').where('widget_id', id).pluck('verification_state'),
      registry: await tracking('widget_registry').where('widget_id', id).pluck('state'),
      file: await bytesOf(sites.secondary, key),
    }
  }
  const NO_TRACES = { events: [], states: [], registry: [], file: null }

  it('leaves no event, no registry row, no checksum and no request while it is off', async () => {
    const widget = await sites.upload('widgets', 'unseen.txt', 'unseen')
    await sites.upload('gadgets', 'witness.txt', 'witness')
    expect(await eventsOf('gadget')).toEqual([])

    await sites.setFlags({ widgets: false, gadgets: true })
    await sites.untilVerified({ widgets: 0, gadgets: 1 })
    expect(await tracesOf(widget)).toEqual(NO_TRACES)
    expect(requests.count('/api/v4/geo/retrieve/gadget')).toBeGreaterThan(0)
    expect(requests.count('/api/v4/geo/retrieve/widget')).toBe(0)
  })

  it('starts the backfill when it is switched on, without a restart', async () => {
    await sites.setFlags({ widgets: true, gadgets: false })
    await sites.untilVerified({ widgets: 1, gadgets: 1 })
    expect(await eventsOf('widget')).toEqual(['checksum_succeeded'])
    expect(requests.count('/api/v4/geo/retrieve/widget')).toBeGreaterThan(0)

    await sites.upload('widgets', 'live.txt', 'live')
    await sites.untilVerified({ widgets: 2, gadgets: 1 })
    expect(await eventsOf('widget')).toEqual(['checksum_succeeded', 'created', 'checksum_succeeded'])
  })

  it('ends replication of new files when it is switched off again, and keeps what is there', async () => {
    const gadget = await sites.upload('gadgets', 'while off.txt', 'while off')
    expect(await eventsOf('gadget')).toEqual(['checksum_succeeded'])
    expect(await bytesOf(sites.secondary, gadget.key)).toBeNull()

    await sites.setFlags({ widgets: false, gadgets: true })
    await sites.untilVerified({ widgets: 2, gadgets: 2 })
    const asked = requests.count('/api/v4/geo/retrieve/widget')
    const widget = await sites.upload('widgets', 'too late.txt', 'too late')
    await sites.upload('gadgets', 'second witness.txt', 'second witness')
    await sites.untilVerified({ widgets: 2, gadgets: 3 })
    expect(await tracesOf(widget)).toEqual(NO_TRACES)
    expect(requests.count('/api/v4/geo/retrieve/widget')).toBe(asked)
  })

  it('needed no restart for any of it', () => {
    expect([sites.primary.pid, sites.secondary.pid]).toEqual(pids)
    expect([sites.primary.isRunning, sites.secondary.isRunning]).toEqual([true, true])
  })
})
