import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { bytesOf, compareBlobs } from '../support/blob-files.ts'
import { openPublisher, type Publisher } from '../support/publisher.ts'
import { startTwoSites, type TwoSites } from '../support/two-sites.ts'
import { until } from '../support/until.ts'

const TIMEOUT_MS = 40_000
const BACKLOG = 300
/** No more than one request's worth of the backlog gets through before the process dies. */
const ROWS_BEFORE_THE_HOLD = 100
const HOLD_LOCK = 42

describe('a secondary', { timeout: 180_000 }, () => {
  let sites: TwoSites
  let publisher: Publisher

  beforeAll(async () => {
    sites = await startTwoSites({ flags: { widgets: true, gadgets: true } })
    publisher = openPublisher(sites)
  })
  afterAll(async () => {
    await publisher?.close()
    await sites?.stop()
  })

  const files = (count: number) =>
    Array.from({ length: count }, (_, number) => ({ name: `file ${number}.txt`, bytes: `number ${number}\n` }))
  const registry = () => sites.databases.tracking('widget_registry')
  const codes = async () => (await sites.health(sites.secondary)).findings.map((finding) => finding.code)
  const untilHealth = (code: string, isThere: boolean) =>
    until(async () => (await codes()).some((found) => found === code) === isThere, TIMEOUT_MS)

  it('pauses while the primary is down, counts no retry, and goes on when it is back', async () => {
    expect(await sites.primary.stop()).toBe(0)
    await publisher.insert('widgets', files(20))
    // A report of the status in vain would say so as well, before a single row has been asked for.
    await until(() => sites.secondary.output.includes('transfers pause'), TIMEOUT_MS)
    await until(async () => (await registry()).length === 20, TIMEOUT_MS)
    await untilHealth('PRIMARY_UNREACHABLE', true)

    const waiting = await registry()
    expect(waiting).toHaveLength(20)
    for (const row of waiting) expect(row).toMatchObject({ retry_count: 0, last_sync_failure: null, error_code: null })
    expect(waiting.filter(({ state }) => state === SYNC_STATE.synced || state === SYNC_STATE.failed)).toEqual([])

    await sites.primary.start()
    await sites.untilVerified({ widgets: 20, gadgets: 0 })
    await untilHealth('PRIMARY_UNREACHABLE', false)
  })

  describe('whose store lost its marker', () => {
    const marker = () => join(sites.secondary.blobsDir, '.geo-store.json')
    const unmounted = async () =>
      (await sites.health(sites.secondary)).findings.filter(({ code }) => code === 'STORE_NOT_MOUNTED')

    beforeEach(() => rename(marker(), `${marker()}.away`))
    afterEach(() => rename(`${marker()}.away`, marker()).catch(() => null))

    it('says that it is not mounted, fails and removes nothing, and goes on when it is back', async () => {
      // Each type looks for itself, at most once a second.
      await until(async () => (await unmounted()).length === 2, TIMEOUT_MS)
      const [doomed] = await registry().orderBy('id').limit(1)
      await publisher.insert('widgets', files(5))
      await sites.remove('widgets', doomed.widget_id)
      await sites.bulk({ action: 'reverify', type: 'widget' })
      await until(async () => (await registry()).length === 25, TIMEOUT_MS)
      await until(async () => (await registry().whereNotNull('removal_requested_at')).length === 1, TIMEOUT_MS)

      // Longer than any loop rests: what they would do wrongly they would have done by then.
      const endMs = performance.now() + 1500
      await until(async () => {
        expect(await registry().where('state', SYNC_STATE.failed)).toEqual([])
        expect(await registry().where('state', SYNC_STATE.synced)).toHaveLength(20)
        expect(await bytesOf(sites.secondary, doomed.blob_key)).not.toBeNull()
        return performance.now() > endMs
      }, TIMEOUT_MS)

      await rename(`${marker()}.away`, marker())
      await sites.untilVerified({ widgets: 24, gadgets: 0 })
      await untilHealth('STORE_NOT_MOUNTED', false)
      expect(await bytesOf(sites.secondary, doomed.blob_key)).toBeNull()
    })
  })

  it('that is killed in the middle of a backlog brings all of it over after its next start', async () => {
    const { tracking } = sites.databases
    const known = await registry().max('id as id').first()
    const held = await holdAfter(Number(known?.id) + ROWS_BEFORE_THE_HOLD)
    try {
      await publisher.insert('widgets', files(BACKLOG))
      // The next files have their names already, and their rows are about to be marked: the worst of moments.
      await until(isHeld, TIMEOUT_MS)
      await sites.secondary.kill()
    } finally {
      await held.release()
    }
    const synced = await registry().where('state', SYNC_STATE.synced)
    expect(synced.length).toBeLessThan(24 + BACKLOG)
    await expectNoForeignBytes()

    // Twenty seconds later, as it were: by then the leases of a process that died have ended.
    await tracking('geo_leases').update({ expires_at: tracking.fn.now() })
    await sites.secondary.start()
    await sites.untilVerified({ widgets: 24 + BACKLOG, gadgets: 0 })
    const ids = await registry().pluck('widget_id')
    expect(new Set(ids).size).toBe(24 + BACKLOG)
    const { primary, secondary } = sites
    expect((await compareBlobs(primary, secondary)).differences).toEqual([])
  })

  /** What is not there yet may be missing; what is there is right. */
  async function expectNoForeignBytes(): Promise<void> {
    const { differences } = await compareBlobs(sites.primary, sites.secondary)
    expect(differences.filter((found) => !found.startsWith(`only in ${sites.primary.blobsDir}`))).toEqual([])
  }

  /** Rows with a higher registry id cannot become synced until it is released. */
  async function holdAfter(id: number): Promise<{ release: () => Promise<void> }> {
    const { tracking } = sites.databases
    await tracking.raw(`create function hold_row() returns trigger language plpgsql as $$
      begin perform pg_advisory_xact_lock(${HOLD_LOCK}); return new; end $$`)
    await tracking.raw(`create trigger hold_row before update on widget_registry for each row
      when (new.state = ${SYNC_STATE.synced} and new.id > ${id} and old.state <> new.state) execute function hold_row()`)
    const trx = await tracking.transaction()
    await trx.raw('select pg_advisory_xact_lock(?)', [HOLD_LOCK])
    return {
      async release() {
        await trx.rollback()
        await tracking.raw('drop trigger hold_row on widget_registry')
        await tracking.raw('drop function hold_row()')
      },
    }
  }

  async function isHeld(): Promise<boolean> {
    const { rows } = await sites.databases.tracking.raw(
      `select exists (select from pg_locks l join pg_database d on d.oid = l.database and d.datname = current_database()
         where l.locktype = 'advisory' and l.classid = 0 and l.objid = ? and not l.granted) as held`,
      [HOLD_LOCK],
    )
    return rows[0].held
  }
})
