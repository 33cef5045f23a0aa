import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Knex } from 'knex'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { encodeDigest } from '../../lib/blob/digest.ts'
import { consumeEvents } from '../../lib/event/consume.ts'
import type { GeoEvent } from '../../lib/event/event-log.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { TransferThreads } from '../../lib/transfer/threads.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import type { AssembledSite } from '../support/assembled-site.ts'
import type { SpecDatabases } from '../support/databases.ts'
import { secondsFromNow } from '../support/fixture-rows.ts'
import { type StagedSecondary, stageSecondary } from '../support/staged-secondary.ts'
import {
  addWantedWidget,
  answerFrames,
  blobFrame,
  syncOnce,
  type WantedWidget,
  widgetRow,
} from '../support/sync-batch.ts'
import { until } from '../support/until.ts'
import { digestOf } from '../support/verifying-site.ts'

let staged: StagedSecondary
let databases: SpecDatabases
let site: AssembledSite

beforeAll(async () => {
  staged = await stageSecondary()
  ;({ databases, site } = staged)
})
afterAll(() => staged?.close())
beforeEach(async () => {
  for (const table of ['widget_registry', 'geo_leases']) await databases.tracking(table).delete()
  answerFrames(staged.primary, (id) => [blobFrame(id, 'bytes')])
})

let keys = 0
const add = (widget: WantedWidget = {}) => {
  keys += 1
  return addWantedWidget(databases, site, { key: `once/${keys}`, ...widget })
}
const row = (id: string) => widgetRow(databases, site, id)
const checksumOf = async (text: string) => encodeDigest(await digestOf(text))

/** The primary has hashed its file, or has another one by now. */
async function hashedNow(id: string, text: string): Promise<void> {
  const state = { verification_state: V.succeeded, verification_checksum: await checksumOf(text) }
  await databases
    .main('widget_states')
    .insert({ widget_id: id, ...state })
    .onConflict('widget_id')
    .merge()
}

/** Word of a checksum, as the event log brings it. */
function hear(id: string): Promise<unknown> {
  const event: GeoEvent = {
    id: '1',
    xactId: '1',
    replicableName: 'widget',
    eventName: 'checksum_succeeded',
    recordId: id,
    createdAt: new Date(0).toISOString(),
    traceparent: null,
  }
  const context = {
    replica: databases.main,
    replicables: site.parts.byName,
    logger: site.logger,
    selection: () => null,
  }
  return databases.tracking.transaction((trx) => consumeEvents(trx, context, [event]))
}

/** Lets something happen once the files have come and before the rows are marked. */
async function syncWhile(happens: () => Promise<unknown>): Promise<void> {
  const place = TransferThreads.prototype.place
  const placing = vi.spyOn(TransferThreads.prototype, 'place').mockImplementationOnce(async function (
    this: TransferThreads,
    task,
  ) {
    const placed = await place.call(this, task)
    await happens()
    return placed
  })
  await syncOnce(site).finally(() => placing.mockRestore())
}

async function someoneWaits(db: Knex): Promise<boolean> {
  const { rows } = await db.raw(
    "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
  )
  return rows.length > 0
}

describe('A small copy', () => {
  it('is verified in the moment in which it is synced, and all is told as of any other', async () => {
    const told: [string, unknown][] = []
    for (const name of ['blob:synced', 'blob:verified'] as const) {
      site.parts.signals.on(name, (signal) => void told.push([name, signal]))
    }
    const announced_at = secondsFromNow(databases.tracking, -5)
    const id = await add({ hashed: 'bytes', registry: { announced_at } })
    await syncOnce(site)
    expect(await row(id)).toMatchObject({
      state: SYNC_STATE.synced,
      verification_state: V.succeeded,
      verification_checksum: await checksumOf('bytes'),
      verified_at: expect.any(Date),
      announced_at: null,
    })
    expect(told).toMatchObject([
      ['blob:synced', { type: 'widget', id, bytes: 5, fetched: true }],
      ['blob:verified', { type: 'widget', id, site: 'secondary' }],
    ])
    const [, lagSeconds] = told.map(([, signal]) => (signal as { lagSeconds?: number }).lagSeconds)
    expect(lagSeconds).toBeGreaterThanOrEqual(5)
    expect(lagSeconds).toBeLessThan(60)
    const moves = site.logger.lines.filter(({ fields }) => fields['method'] === 'markVerified')
    expect(moves.map(({ fields }) => [fields['from'], fields['to'], fields['ids']])).toEqual([
      ['pending', 'started', id],
      ['started', 'succeeded', id],
    ])
    expect(await site.parts.sources.verify.claim()).toBeNull()
  })

  it('without a checksum on the primary waits for word of one', async () => {
    const id = await add()
    await syncOnce(site)
    expect(await row(id)).toMatchObject({ state: SYNC_STATE.synced, verification_state: V.disabled })
    await hashedNow(id, 'bytes')
    await hear(id)
    expect(await row(id)).toMatchObject({ state: SYNC_STATE.synced, verification_state: V.pending })
  })

  it.each([
    ['is verified by it', 'bytes', V.succeeded],
    ['is hashed again where it is of other bytes', 'other', V.pending],
  ])('of which the primary gets a checksum while it is on its way %s', async (_, now, state) => {
    const id = await add()
    await syncWhile(() => hashedNow(id, now))
    expect(await row(id)).toMatchObject({ state: SYNC_STATE.synced, verification_state: state })
  })

  it.each(['before', 'after'])(
    'is hashed again where the primary has another checksum: word comes %s it is marked',
    async (when) => {
      const id = await add({ hashed: 'bytes' })
      const another = async () => {
        await hashedNow(id, 'other')
        await hear(id)
      }
      await (when === 'before' ? syncWhile(another) : syncOnce(site).then(another))
      expect(await row(id)).toMatchObject({ state: SYNC_STATE.synced, verification_state: V.pending })
    },
  )

  it('is hashed again where word comes after it was judged: who reads it waits until the row is marked', async () => {
    const { tracking } = databases
    const { main } = site.parts.databases
    const id = await add({ hashed: 'bytes' })
    let hearing: Promise<unknown> = Promise.resolve()
    const judging = vi.spyOn(main, 'transaction')
    await syncWhile(async () => {
      judging.mockImplementationOnce(async (work) => {
        const judged = await main.transaction(work)
        let heard = false
        await hashedNow(id, 'other')
        hearing = hear(id).then(() => {
          heard = true
        })
        await until(async () => heard || (await someoneWaits(tracking)))
        return judged
      })
    }).finally(() => judging.mockRestore())
    await hearing
    expect(await row(id)).toMatchObject({ state: SYNC_STATE.synced, verification_state: V.pending })
  })

  it('is marked, and verified later, where the replica does not answer just then', async () => {
    const id = await add({ hashed: 'bytes' })
    const silent = vi.spyOn(site.parts.databases.main, 'transaction')
    await syncWhile(async () => {
      silent.mockRejectedValueOnce(new Error('Connection terminated unexpectedly'))
    }).finally(() => silent.mockRestore())
    expect(await row(id)).toMatchObject({ state: SYNC_STATE.synced, verification_state: V.pending })
  })

  it('has its name only while no file is replaced, and is hashed again where another row replaces its file', async () => {
    const key = 'once/shared'
    const first = await add({ key, hashed: 'one' })
    answerFrames(staged.primary, (id) => [blobFrame(id, id === first ? 'one' : 'two')])
    let second = ''
    let replacing: Promise<void> = Promise.resolve()
    await syncWhile(async () => {
      second = await add({ key, hashed: 'two' })
      replacing = syncOnce(site)
      await until(() => someoneWaits(databases.tracking))
      expect(await readFile(join(site.root, key), 'utf8')).toBe('one')
    })
    await replacing
    expect(await readFile(join(site.root, key), 'utf8')).toBe('two')
    expect(await row(second)).toMatchObject({ state: SYNC_STATE.synced, verification_state: V.succeeded })
    expect(await row(first)).toMatchObject({ state: SYNC_STATE.synced, verification_state: V.pending })
  })
})
