import createKnex, { type Knex } from 'knex'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { clusterIdentity, loadCursor, type StoredCursor } from '../../lib/event/cursor.ts'
import { insertEvents } from '../../lib/event/event-log.ts'
import { followEvents } from '../../lib/event/follow.ts'
import { pruneEvents } from '../../lib/event/prune.ts'
import { storeReport } from '../../lib/node-status-table.ts'
import { listSites, updateSite } from '../../lib/site-table.ts'
import { addHostRow, registeredIds, secondsFromNow } from '../support/fixture-rows.ts'
import { createSecondarySite, SECONDARY_NAME, type SecondarySite } from '../support/secondary-site.ts'
import { until } from '../support/until.ts'

const WEEK_MS = 7 * 24 * 3_600_000
const EIGHT_DAYS_S = 8 * 24 * 3600

let site: SecondarySite
let main: Knex
let nodeId: string

beforeAll(async () => {
  site = await createSecondarySite()
  main = site.databases.main
  nodeId = (await listSites(main)).find(({ name }) => name === SECONDARY_NAME)?.id ?? ''
})
afterAll(() => site.close())
beforeEach(async () => {
  for (const table of ['widgets', 'geo_events', 'geo_event_prunes', 'geo_node_statuses']) await main(table).delete()
  for (const table of ['widget_registry', 'geo_event_cursors', 'geo_early_events', 'geo_reconciliations']) {
    await site.databases.tracking(table).delete()
  }
})

/** One event in a transaction of its own. Returns its place in the log. */
async function publish(id = '1', db: Knex = main): Promise<StoredCursor> {
  await insertEvents(db, 'widget', 'created', [{ recordId: id }])
  const last = await db('geo_events').orderBy('id', 'desc').first()
  return { xactId: String(last.xact_id), eventId: String(last.id), ...(await clusterIdentity(main)) }
}

/** Other spec files write to the same server: their open transactions hold the horizon too. */
async function settled(): Promise<void> {
  await until(async () => {
    const { rows } = await main.raw(
      `select pg_snapshot_xmin(pg_current_snapshot()) > coalesce((select max(xact_id) from geo_events), '0') as passed`,
    )
    return rows[0].passed
  })
}

async function prune(): Promise<number> {
  await settled()
  return pruneEvents(main, WEEK_MS, async () => true)
}

const kept = async () => (await main('geo_events').orderBy('id')).map(({ id }) => String(id))
const prunedUpTo = async () => (await main('geo_event_prunes').first())?.event_id
const age = (...positions: StoredCursor[]) =>
  main('geo_events')
    .whereIn(
      'id',
      positions.map(({ eventId }) => eventId),
    )
    .update({ created_at: secondsFromNow(main, -EIGHT_DAYS_S) })

describe('Events are pruned', () => {
  it('up to the position that the secondary has posted, by transaction and then by id', async () => {
    const first = await publish()
    const second = await publish()
    const third = await publish()
    // The second one was written by an older transaction than the first, as by one that stayed open.
    await main('geo_events')
      .where({ id: second.eventId })
      .update({ xact_id: main.raw('(?::xid8::text::bigint - 1)::text::xid8', [first.xactId]) })
    await storeReport(main, nodeId, first, null)
    expect(await prune()).toBe(2)
    expect(await kept()).toEqual([third.eventId])
    expect(await prunedUpTo()).toBe(first.eventId)
    expect(await prune()).toBe(0)
  })

  it('not while a secondary has posted nothing, be it disabled; but after seven days whatever it posted', async () => {
    await updateSite(main, SECONDARY_NAME, { enabled: false })
    const old = [await publish(), await publish()]
    const young = await publish()
    expect(await prune()).toBe(0)
    await age(...old)
    expect(await prune()).toBe(2)
    expect(await kept()).toEqual([young.eventId])
    expect(await prunedUpTo()).toBe(old[1]?.eventId)
    await updateSite(main, SECONDARY_NAME, { enabled: true })
  })

  it('however old, not if nobody has read them and it is not known that this is still the primary', async () => {
    const [read, unread] = [await publish(), await publish()]
    await age(read, unread)
    await storeReport(main, nodeId, read, null)
    await settled()
    const asked: string[] = []
    const isNot = async () => {
      asked.push('others')
      return false
    }
    expect(await pruneEvents(main, WEEK_MS, isNot)).toBe(1)
    expect(await kept()).toEqual([unread.eventId])
    expect(asked).toEqual(['others'])
    // While there is nothing to be forgotten nobody is asked.
    await storeReport(main, nodeId, unread, null)
    await pruneEvents(main, WEEK_MS, isNot)
    expect(asked).toEqual(['others'])
  })

  it('in the order of the log: an old event after a young one waits, so that one position says what is gone', async () => {
    const young = await publish()
    const old = await publish()
    await age(old)
    expect(await prune()).toBe(0)
    expect(await kept()).toEqual([young.eventId, old.eventId])
  })

  it.each([
    ['cluster', { systemIdentifier: '42' }],
    ['timeline', { timeline: 99 }],
  ])('not by a position in the numbers of another %s', async (_, foreign) => {
    await storeReport(main, nodeId, { ...(await publish()), ...foreign }, null)
    expect(await prune()).toBe(0)
  })

  it('all of them where there is no secondary', async () => {
    await publish()
    await publish()
    const nodes = await main('geo_nodes').where({ primary: false })
    await main('geo_nodes').where({ primary: false }).delete()
    try {
      expect(await prune()).toBe(2)
    } finally {
      await main('geo_nodes').insert(nodes)
    }
  })

  it('at most 50,000 in one run, in batches', async () => {
    await main.raw(
      `insert into geo_events (replicable_name, event_name) select 'widget', 'created' from generate_series(1, 52000)`,
    )
    await storeReport(main, nodeId, await publish(), null)
    expect(await prune()).toBe(50_000)
    expect(await prune()).toBe(2001)
  })

  it('never while a transaction that is older is open: what it writes has its place before them', async () => {
    const before = await publish()
    const open = await main.transaction()
    try {
      const held = await publish('2', open)
      const after = await publish('3')
      await storeReport(main, nodeId, after, null)
      await until(async () => {
        await pruneEvents(main, WEEK_MS, async () => true)
        return !(await kept()).includes(before.eventId)
      })
      expect(await pruneEvents(main, WEEK_MS, async () => true)).toBe(0)
      await open.commit()
      expect(await kept()).toEqual([held.eventId, after.eventId])
    } finally {
      if (!open.isCompleted()) await open.rollback()
    }
    expect(await prune()).toBe(2)
  })
})

describe('A secondary', () => {
  const codes = async () => (await site.geo.health()).findings.map(({ code }) => code)

  it('that has not read what was pruned says so until a full reconciliation has made up for it, and moves on', async () => {
    const { tracking } = site.databases
    await site.hear()
    await site.run('reconcile')
    const missed = await addHostRow(main, site.widgets)
    await age(await publish(missed))
    await prune()
    const heard = await addHostRow(main, site.widgets)
    await publish(heard)
    await site.hear()
    expect(await registeredIds(tracking, site.widgets)).toEqual([heard])
    const { findings, status } = await site.geo.health()
    expect(status).toBe('unhealthy')
    expect(findings).toContainEqual(
      expect.objectContaining({
        code: 'CURSOR_PRUNED',
        message: 'Events were pruned before this site had read them; still to be reconciled: gadget, widget',
      }),
    )
    expect(site.logger.codes()).toContain('CURSOR_PRUNED')
    await site.run('reconcile')
    expect(await registeredIds(tracking, site.widgets)).toEqual([missed, heard])
    expect(await codes()).not.toContain('CURSOR_PRUNED')
    expect(await site.geo.drift()).toEqual([])
  })

  it('that has read everything says nothing, however much is pruned', async () => {
    await site.hear()
    await publish(await addHostRow(main, site.widgets))
    await site.hear()
    const position = () => loadCursor(site.databases.tracking, SECONDARY_NAME)
    await until(async () => {
      await site.hear()
      return (await position())?.eventId !== '0'
    })
    const cursor = await position()
    if (cursor) await storeReport(main, nodeId, cursor, null)
    expect(await prune()).toBe(1)
    await publish(await addHostRow(main, site.widgets))
    await site.hear()
    expect(await registeredIds(site.databases.tracking, site.widgets)).toHaveLength(2)
    expect(await codes()).not.toContain('CURSOR_PRUNED')
  })

  it('whose database went to another timeline reads again what is kept, and misses nothing that was pruned', async () => {
    const { tracking } = site.databases
    await site.hear()
    await age(await publish())
    expect(await prune()).toBe(1)
    const id = await addHostRow(main, site.widgets)
    await publish(id)
    await tracking('geo_event_cursors').update({ timeline: 99 })
    await site.hear()
    expect(await registeredIds(tracking, site.widgets)).toEqual([id])
    expect(await codes()).not.toContain('CURSOR_PRUNED')
    expect(await tracking('geo_reconciliations').distinct('asked_because')).toEqual([
      { asked_because: 'ANOTHER_TIMELINE' },
    ])
  })

  it('skips nothing whatever the order in which it sees an event, its position and the prune', async () => {
    const { tracking, standby } = site.databases
    await site.hear()
    const [first, second] = [await addHostRow(main, site.widgets), await addHostRow(main, site.widgets)]
    await publish(first)
    await settled()
    await site.databases.caughtUp()
    // What this transaction sees is a standby that lags: the second event and the prune are not replayed there yet.
    const lagging = await standby.transaction(null, { isolationLevel: 'repeatable read' })
    const follow = (replica: Knex) =>
      followEvents({
        siteName: SECONDARY_NAME,
        replica,
        tracking,
        replicables: site.assembly.byName,
        logger: site.logger,
        selection: () => null,
      })
    try {
      await lagging.raw('select count(*) from geo_events')
      await age(await publish(second))
      await age(...((await main('geo_events')).map(({ id }) => ({ eventId: String(id) })) as StoredCursor[]))
      await prune()
      expect(await kept()).toEqual([])
      await until(async () => {
        await follow(lagging)
        return (await registeredIds(tracking, site.widgets)).length > 0
      })
      expect(await registeredIds(tracking, site.widgets)).toEqual([first])
      expect(await codes()).not.toContain('CURSOR_PRUNED')
    } finally {
      await lagging.rollback()
    }
    // Now it has replayed the prune: the first event was read, the second was not.
    await site.databases.caughtUp()
    await follow(standby)
    expect(await codes()).toContain('CURSOR_PRUNED')
    await site.run('reconcile')
    expect(await registeredIds(tracking, site.widgets)).toEqual([first, second])
  })

  it('names the open transaction that holds its cursor, also in another database of the cluster', async () => {
    const connection = site.databases.mainUrl.replace(/\/[^/]*$/, '/postgres')
    const other = createKnex({ client: 'pg', connection, pool: { min: 0, max: 1 } })
    try {
      await site.hear()
      const open = await other.transaction()
      const { rows } = await open.raw('select pg_current_xact_id()::text as xact')
      await publish(await addHostRow(main, site.widgets))
      await main('geo_events').update({ created_at: secondsFromNow(main, -90) })
      await site.hear()
      await until(async () => {
        const held = (await site.geo.health()).findings.find(({ code }) => code === 'CURSOR_HELD')
        return held?.message.startsWith(`Transaction ${rows[0].xact} of the primary's cluster is open for 9`) ?? false
      })
      expect((await site.geo.health()).status).toBe('healthy')
      await open.rollback()
      await until(async () => !(await codes()).includes('CURSOR_HELD'))
    } finally {
      await other.destroy()
    }
  })
})
