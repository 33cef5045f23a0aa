import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../../lib/clock.ts'
import { SYNC_STATE } from '../../../lib/registry/sync-state.ts'
import { ManualClock } from '../../../lib/testing/manual-clock.ts'
import { type AdminSites, createAdminSites } from '../../support/admin-pages.ts'
import { until } from '../../support/until.ts'

let sites: AdminSites
const allowed = new Set(['admin'])
const sleeper = new ManualClock()
beforeAll(async () => {
  sites = await createAdminSites({
    both: { authorize: (request) => allowed.has(request.get('x-role') ?? '') },
    // As any clock, save that whoever sleeps does so until the spec says.
    paris: { clock: { ...systemClock, sleep: (delayMs, signal) => sleeper.sleep(delayMs, signal) } },
  })
})
afterAll(() => sites?.close())

interface Watching {
  readonly status: number
  readonly headers: Headers
  /** What came so far, by region: the newest last. */
  readonly told: Map<string, string[]>
  readonly ended: Promise<void>
  stop(): void
}

/** A browser that looks at a page. Time goes by on the site's clock whenever `pass` says so. */
async function watch(path: string): Promise<Watching> {
  const stopping = new AbortController()
  const headers = { 'x-role': 'admin', accept: 'text/event-stream' }
  const answer = await fetch(`${sites.parisUrl}admin/geo${path}`, { headers, signal: stopping.signal })
  const told = new Map<string, string[]>()
  const read = async () => {
    let text = ''
    for await (const chunk of answer.body ?? []) {
      text += Buffer.from(chunk).toString('utf8')
      const events = text.split('\n\n')
      text = events.pop() ?? ''
      for (const event of events) {
        const [, data] = /^event: region\ndata: (.*)$/.exec(event) ?? []
        if (data === undefined) continue
        const { id, html } = JSON.parse(data)
        told.set(id, [...(told.get(id) ?? []), html])
      }
    }
  }
  const ended = read().catch((reason: unknown) => {
    if (!stopping.signal.aborted) throw reason
  })
  return { status: answer.status, headers: answer.headers, told, ended, stop: () => stopping.abort() }
}

/** Two seconds, as the stream counts them, until something holds. */
async function pass(holds: () => boolean): Promise<void> {
  await until(async () => {
    sleeper.advance(2000)
    return holds()
  })
}

describe('A page that is live', () => {
  it('tells each region once, and again only what has changed', async () => {
    const { widgets } = sites.paris
    const one = await sites.add(widgets, { state: SYNC_STATE.failed, retry_at: new Date('2999-01-01') })
    const id = sites.rome.sites.byName('paris')?.id
    const page = await watch(`/sites/${id}/replication/widgets?shown=${one.registryId}`)
    expect(page.headers.get('content-type')).toContain('text/event-stream')
    expect(page.headers.get('cache-control')).toContain('no-transform')
    await until(() => page.told.has('list'))
    expect(page.told.get('list')?.at(-1)).toContain('Sync failed')

    await sites.paris.databases.tracking('widget_registry').update({ state: SYNC_STATE.pending })
    await pass(() => page.told.get('list')?.length === 2)
    expect(page.told.get('list')?.at(-1)).toContain('Sync pending')
    expect(page.told.get('list-filters')).toHaveLength(1)
    page.stop()
    await page.ended
  })

  it('ends once the person may no longer look, and is refused then', async () => {
    const page = await watch('/failover')
    await until(() => page.told.size > 0)
    allowed.delete('admin')
    let hasEnded = false
    void page.ended.then(() => {
      hasEnded = true
    })
    await pass(() => hasEnded)
    expect((await watch('/failover')).status).toBe(403)
    allowed.add('admin')
  })

  it('is told once, as any other, where nothing of it moves or there is no such page', async () => {
    for (const [path, status] of [
      ['/audit', 200],
      ['/nothing', 404],
      ['/failover/999', 404],
    ] as const) {
      const page = await watch(path)
      expect([path, page.status]).toEqual([path, status])
      expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8')
      await page.ended
    }
  })

  it('ends with the process', async () => {
    const page = await watch('/sites')
    await until(() => page.told.size > 0)
    await sites.paris.assembly.viewing.close()
    await page.ended
  })
})
