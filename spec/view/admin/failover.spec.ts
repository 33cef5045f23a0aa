import { afterAll, beforeAll, expect, it } from 'vitest'
import { insertLosses, insertPromotion } from '../../../lib/failover/promotion-table.ts'
import { SYNC_STATE } from '../../../lib/registry/sync-state.ts'
import { VERIFICATION_STATE } from '../../../lib/verification/verification-state.ts'
import { type AdminSites, createAdminSites, plain } from '../../support/admin-pages.ts'

let sites: AdminSites
beforeAll(async () => {
  sites = await createAdminSites()
})
afterAll(() => sites?.close())

const VERIFIED = { state: SYNC_STATE.synced, verification_state: VERIFICATION_STATE.succeeded }
const page = async (query = '', at: 'rome' | 'paris' = 'rome') =>
  plain((await sites.see(`/failover/${sites.rome.sites.byName('paris')?.id}${query}`, { at })).text)

/** As if paris had told so, whose replica other specs keep busy. */
const lagging = (seconds: number) =>
  sites.paris.databases.main.raw(
    `update geo_node_statuses set status = jsonb_set(status, '{db_replication_lag_seconds}', ?::jsonb)
     where geo_node_id = (select id from geo_nodes where name = 'paris')`,
    [String(seconds)],
  )

it('Nothing would be lost where nothing is, and what a replica has not replayed would', async () => {
  await sites.gatherAll()
  await lagging(2)
  expect(plain((await sites.see('/failover')).text)).toMatch(/paris ✕ Some 0 0 2 seconds/)
  await lagging(0)
  expect(plain((await sites.see('/failover')).text)).toMatch(/paris ✓ Nothing 0 0 0 seconds/)
  const text = await page()
  expect(text).toContain('Every event has been read there.')
  expect(text).toContain('Every file that this site knows of is there and verified.')
})

it('What would be lost is told row by row: what is not there, what is not proven, and what has not been heard of', async () => {
  const { widgets } = sites.paris
  await sites.add(widgets, VERIFIED)
  const failed = await sites.add(widgets, {
    state: SYNC_STATE.failed,
    last_sync_failure: 'Gone',
    error_code: 'FILE_NOT_FOUND',
  })
  const unproven = await sites.add(widgets, { state: SYNC_STATE.synced })
  const { main } = sites.paris.databases
  await main('geo_events').insert({
    replicable_name: 'widget',
    event_name: 'created',
    payload: { model_record_id: '4711' },
  })
  // One that was heard before its turn counts as unheard, and other specs' transactions may hold it back.
  await sites.paris.hearInTurn()
  await sites.gatherAll().catch((reason: unknown) => reason)
  await main('geo_events').insert({
    replicable_name: 'widget',
    event_name: 'created',
    payload: { model_record_id: '4712' },
  })

  const text = await page('?type=widgets')
  expect(text).toMatch(/Not heard of yet 1 Record Event Written Widget\/4712 created/)
  expect(text).toMatch(
    new RegExp(`WidgetRegistry/${failed.registryId} Widget/${failed.recordId} ✕ Sync failed .* FILE_NOT_FOUND Gone`),
  )
  expect(text).toContain(`WidgetRegistry/${unproven.registryId} Widget/${unproven.recordId}`)
  expect(text).not.toContain('✓ Verified')
  expect(await page('?type=gadgets')).toContain('None of them are gadgets.')
})

it('A secondary says that only the primary knows what it has not heard of', async () => {
  const text = await page('', 'paris')
  expect(text).toContain('known to the primary alone')
  expect(text).toContain('FILE_NOT_FOUND')
})

it('The last promotion is told: when, what had not arrived, and what was lost of what had, row by row', async () => {
  expect(plain((await sites.see('/failover')).text)).not.toContain('Last promotion')
  const { main } = sites.paris.databases
  const promotion = { siteName: 'rome', formerSiteName: 'oslo', sealed: false, arrivedBelow: '0' } as const
  await main.transaction((trx) =>
    insertPromotion(trx, { ...promotion, epoch: 1, replayedAt: '2026-01-02T03:04:05.678Z' }),
  )
  const loss = { type: 'widget', key: 'a/file', message: null } as const
  await insertLosses(main, 1, [
    { ...loss, id: '7', finding: 'missing' },
    { ...loss, id: '8', finding: 'unproven', key: null },
    { ...loss, id: '9', finding: 'different', message: '<b>other bytes</b>' },
  ])

  const text = plain((await sites.see('/failover')).text)
  expect(text).toMatch(/Last promotion Primary rome, in place of oslo Epoch 1 /)
  expect(text).toMatch(
    /Had not arrived Whatever oslo wrote after Jan 2, 2026, 3:04:05 AM UTC: geo demote there lists it\./,
  )
  expect(text).toMatch(/Lost of what had arrived 2 There, with nothing recorded to tell by 1 /)
  expect(text).toContain('Not everything yet: run geo promote again')
  expect(text).toMatch(
    /widget #7 a\/file ✕ Missing widget #8 – ◔ Nothing to tell by widget #9 a\/file ✕ Different <b>other bytes<\/b>/,
  )

  const later = { ...promotion, epoch: 2, siteName: 'oslo', formerSiteName: 'rome', sealed: true, replayedAt: null }
  await main.transaction((trx) => insertPromotion(trx, later))
  const planned = plain((await sites.see('/failover')).text)
  expect(planned).toMatch(/Epoch 2 .* Had not arrived Nothing Lost of what had arrived 0 /)
  expect(planned).not.toContain('widget #7')
})
