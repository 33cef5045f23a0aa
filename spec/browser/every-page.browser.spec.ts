import { afterAll, beforeAll, expect, it } from 'vitest'
import { DESKTOP, expectNoViolations, screenshots, THEMES, type Visitor } from '../support/browser.ts'
import { type BrowserSites, openBrowserSites } from '../support/browser-sites.ts'

const NARROWEST = { width: 360, height: 800 }
const WIDEST = { width: 2560, height: 1440 }

let given: BrowserSites
let failed: string[]
beforeAll(async () => {
  given = await openBrowserSites()
  failed = await given.fail(2)
  const { main, caughtUp } = given.sites.databases
  await main('geo_audit_events').insert({ site: 'paris', action: 'site.update', subject: 'paris', outcome: 'done' })
  await caughtUp()
})
afterAll(() => given?.close())

const PAGES: readonly (readonly [name: string, path: () => string])[] = [
  ['sites', () => '/sites'],
  ['sites-not-found', () => '/sites?search=nowhere'],
  ['site-add', () => '/sites/new'],
  ['site-edit', () => `/sites/${given.ids.paris}/edit`],
  ['site-edit-primary', () => `/sites/${given.ids.tokyo}/edit`],
  ['site-remove', () => `/sites/${given.ids.paris}/remove`],
  ['list', () => given.list],
  ['list-failed', () => `${given.list}?replication_status=failed`],
  ['list-not-found', () => `${given.list}?ids=999999`],
  ['run', () => `${given.list}/run?action=resync&only=failed`],
  ['failures', () => `${given.list}/failures`],
  ['registry', () => `${given.list}/${failed[0]}`],
  ['failover', () => '/failover'],
  ['losses', () => `/failover/${given.ids.paris}`],
  ['audit', () => '/audit'],
  ['nothing-there', () => '/nothing-there'],
]

let admin: Visitor
beforeAll(async () => {
  admin = await given.admin('/sites')
})
afterAll(() => admin?.close())

it.each(PAGES)('The page %s can be used by everybody, light and dark, from 360 to 2,560 pixels', async (name, path) => {
  const { page } = admin
  const answer = await page.goto(`${given.sites.primary.url}/admin/geo${path()}`)
  expect(answer?.status()).toBe(name === 'nothing-there' ? 404 : 200)
  for (const colorScheme of THEMES) {
    await page.emulateMedia({ colorScheme })
    await expectNoViolations(page)
    await screenshots(page, `${name}-${colorScheme}`)
  }
  for (const viewport of [NARROWEST, WIDEST]) {
    await page.setViewportSize(viewport)
    const wide = await page.evaluate(() => document.documentElement.scrollWidth)
    expect(wide, `the width of ${name}`).toBeLessThanOrEqual(viewport.width)
  }
  await page.setViewportSize(DESKTOP)
  expect(admin.complaints).toEqual([])
})
