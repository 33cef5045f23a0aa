import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Visitor } from '../support/browser.ts'
import {
  type BrowserSites,
  cardOf,
  HOSTILE,
  marked,
  openBrowserSites,
  tabTo,
  WIDGETS,
} from '../support/browser-sites.ts'

const STATUS_TIMEOUT_MS = 120_000

let given: BrowserSites
const visitors: Visitor[] = []
beforeAll(async () => {
  given = await openBrowserSites()
})
afterAll(() => given?.close())
afterEach(async () => {
  for (const visitor of visitors.splice(0)) {
    const { complaints } = visitor
    await visitor.close()
    expect(complaints).toEqual([])
  }
})

async function admin(path: string, javaScriptEnabled = true): Promise<Page> {
  const visitor = await given.admin(path, { javaScriptEnabled })
  visitors.push(visitor)
  return visitor.page
}
const notice = (page: Page) => page.locator('.notice').first()
const rowOf = (page: Page, id: string) => page.locator(`#row-${id}`)
const sitesUrl = () => `${given.sites.primary.url}/admin/geo/sites`

describe.each([
  ['with JavaScript', true],
  ['without JavaScript', false],
])('An operator, %s,', (_, javaScriptEnabled) => {
  it('adds a site, is told what is wrong with it, changes it and removes it', async () => {
    const page = await admin('/sites', javaScriptEnabled)
    await page.getByRole('link', { name: 'Add site' }).click()
    await page.getByLabel('Name', { exact: true }).fill('Paris')
    await page.getByLabel('External URL').fill('https://lyon.test')
    await page.getByRole('button', { name: 'Add site' }).click()
    expect(await page.getByRole('alert').textContent()).toContain('has already been taken')
    await page.getByLabel('Name', { exact: true }).fill('lyon')
    await page.getByRole('button', { name: 'Add site' }).click()
    expect(await notice(page).textContent()).toContain('The site has been added')

    await page.getByRole('link', { name: 'Edit lyon' }).click()
    expect(await page.getByLabel('Enabled').isChecked()).toBe(true)
    await page.getByLabel('Enabled').uncheck()
    await page.getByRole('button', { name: 'Save changes' }).click()
    await cardOf(page, 'lyon').getByText('Disabled').first().waitFor()

    await page.getByRole('link', { name: 'Remove lyon' }).click()
    await page.getByRole('button', { name: 'Remove site' }).click()
    expect(await notice(page).textContent()).toContain('The site has been removed')
    expect(await cardOf(page, 'lyon').count()).toBe(0)

    await page.getByRole('link', { name: 'Audit log' }).click()
    const kept = (await page.locator('tbody tr').allTextContents()).slice(0, 4).join('\n')
    for (const text of ['site.add', 'SITE_EXISTS', 'site.update', 'site.remove', 'admin']) expect(kept).toContain(text)
  })

  it('filters what failed, and sees text where somebody sent a script', async () => {
    const [id] = (await given.fail(1)) as [string]
    const page = await admin(given.list, javaScriptEnabled)
    await page.getByLabel('Replication status').selectOption('failed')
    await page.getByRole('button', { name: 'Filter' }).click()
    expect(new URL(page.url()).searchParams.get('replication_status')).toBe('failed')
    expect(await page.locator('tbody tr[id^=row-]').count()).toBe(1)
    expect(await rowOf(page, id).textContent()).toContain(HOSTILE)
    expect(await page.title()).not.toBe('hostile')
    expect(await page.getByLabel('Replication status').inputValue()).toBe('failed')
  })

  it('resyncs one', async () => {
    const [id] = (await given.fail(1)) as [string]
    const page = await admin(given.list, javaScriptEnabled)
    await rowOf(page, id)
      .getByRole('button', { name: /^Resync/ })
      .click()
    expect(await notice(page).textContent()).toContain('Scheduled for resync')
    await untilHealed(page, id, javaScriptEnabled)
  })

  it('resyncs those that are selected', async () => {
    const ids = await given.fail(2)
    const page = await admin(given.list, javaScriptEnabled)
    for (const id of ids) await rowOf(page, id).getByRole('checkbox').check()
    await page.getByRole('button', { name: 'Resync selected' }).click()
    expect(await notice(page).textContent()).toContain('Scheduled for resync: 2')
    for (const id of ids) await untilHealed(page, id, javaScriptEnabled)
  })

  it('resyncs all that failed, by a run whose progress is shown', async () => {
    const ids = await given.fail(3)
    const page = await admin(`${given.list}?replication_status=failed`, javaScriptEnabled)
    await page.getByRole('link', { name: 'Resync all failed' }).click()
    await page.getByRole('button', { name: 'Resync all failed' }).click()
    expect(await notice(page).textContent()).toContain('The run has been started')
    for (const id of ids) await untilHealed(page, id, javaScriptEnabled)
    await seen(page, javaScriptEnabled, () => page.getByText('Finished').count())
  })

  it('has all tried again that failed in one way', async () => {
    const ids = await given.fail(2)
    const page = await admin(`${given.list}/failures`, javaScriptEnabled)
    expect(await page.getByText('See what answers at the URL of the primary.').count()).toBe(1)
    await page.getByRole('button', { name: 'Retry all HTTP_STATUS' }).click()
    await page.waitForURL(/done=run-started/)
    for (const id of ids) await untilHealed(page, id, javaScriptEnabled)
  })

  it('sees both checksums of one blob, and resyncs it there', async () => {
    const [id] = (await given.fail(1)) as [string]
    const page = await admin(given.list, javaScriptEnabled)
    await page.getByRole('link', { name: `WidgetRegistry/${id}`, exact: true }).click()
    expect(await page.locator('.hex').allTextContents()).toHaveLength(2)
    await page.getByRole('button', { name: /^Resync/ }).click()
    expect(await notice(page).textContent()).toContain('Scheduled for resync')
    await seen(page, javaScriptEnabled, () => page.locator('main .badge', { hasText: 'Synced' }).count())
  })
})

/** Live where there is a script, else by loading the page again. */
async function seen(page: Page, live: boolean, count: () => Promise<number>): Promise<void> {
  const isSame = live ? await marked(page) : null
  await expect
    .poll(
      async () => {
        if (!live) await page.reload()
        return count()
      },
      { timeout: STATUS_TIMEOUT_MS, interval: 250 },
    )
    .toBeGreaterThan(0)
  if (isSame) expect(await isSame()).toBe(true)
}

const untilHealed = (page: Page, id: string, live: boolean) =>
  seen(page, live, () => rowOf(page, id).locator('.badge', { hasText: 'Synced' }).count())

describe('The page of all sites, live,', () => {
  const syncOf = (page: Page) => cardOf(page, 'paris').getByRole('button', { name: /^Synchronization of Widgets/ })

  it('shows a backlog that falls to zero, without a reload', async () => {
    const page = await admin('/sites')
    await page.getByRole('link', { name: 'Edit paris' }).click()
    await page.getByLabel('File synchronization concurrency limit').fill('0')
    await page.getByRole('button', { name: 'Save changes' }).click()
    await page.goto(sitesUrl())
    const isSame = await marked(page)
    // The processes of paris hear of it with the replica of geo_nodes; what they fetch until then needs no patience.
    await expect
      .poll(
        async () => {
          await given.sites.upload('widgets', 'more.txt', 'more')
          return (await syncOf(page).getAttribute('aria-label')) ?? ''
        },
        { timeout: STATUS_TIMEOUT_MS, interval: 1000 },
      )
      .not.toContain('100')

    const editor = await admin(`/sites/${given.ids.paris}/edit`)
    await editor.getByLabel('File synchronization concurrency limit').fill('10')
    await editor.getByRole('button', { name: 'Save changes' }).click()
    await expect
      .poll(async () => (await syncOf(page).getAttribute('aria-label')) ?? '', {
        timeout: STATUS_TIMEOUT_MS,
        interval: 500,
      })
      .toContain('100')
    expect(await isSame()).toBe(true)
  })

  it('keeps open what somebody has opened', async () => {
    const page = await admin('/sites')
    await syncOf(page).click()
    const figures = cardOf(page, 'paris').getByRole('heading', { name: 'Synchronization of Widgets' })
    await figures.waitFor()
    const updated = () => cardOf(page, 'paris').locator('summary time').getAttribute('datetime')
    const before = await updated()
    await expect.poll(updated, { timeout: STATUS_TIMEOUT_MS, interval: 250 }).not.toBe(before)
    expect(await figures.isVisible()).toBe(true)
  }, 180_000)

  it('leaves what somebody has chosen and written, whatever changes around it', async () => {
    const [id] = (await given.fail(1)) as [string]
    const page = await admin(given.list)
    await page.getByLabel('Replication status').selectOption('failed')
    await page.getByRole('searchbox', { name: 'Ids' }).fill('12 34')
    const choice = rowOf(page, id).getByRole('checkbox')
    await choice.check()
    const { tracking } = given.sites.databases
    await tracking('widget_registry').where({ id }).update({ last_sync_failure: 'another failure' })
    await rowOf(page, id).getByText('another failure').waitFor()
    expect(await page.getByLabel('Replication status').inputValue()).toBe('failed')
    expect(await page.getByRole('searchbox', { name: 'Ids' }).inputValue()).toBe('12 34')
    expect(await choice.isChecked()).toBe(true)
  })

  it('shows Disabled once the flag of a type is off', async () => {
    const page = await admin('/sites')
    await given.sites.setFlags({ widgets: false, gadgets: true })
    const row = cardOf(page, 'paris')
      .getByRole('row')
      .filter({ has: page.getByRole('rowheader', { name: 'Widgets' }) })
    await seen(page, true, () => row.getByText('Disabled').count())
    await given.sites.setFlags({ widgets: true, gadgets: true })
    await seen(page, true, () => syncOf(page).count())
  })
})

describe('By the keyboard alone', () => {
  it('a site is added and a blob resynced', async () => {
    const page = await admin('/sites')
    await page.keyboard.press('Tab')
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Skip to content')
    await page.keyboard.press('Enter')
    await tabTo(page, 'Add site')
    await page.keyboard.press('Enter')
    await page.waitForURL(/\/sites\/new$/)
    await tabTo(page, 'Name')
    await page.keyboard.type('nice')
    await page.keyboard.press('Tab')
    await page.keyboard.type('https://nice.test')
    await page.keyboard.press('Enter')
    await page.waitForURL(/done=site-added/)

    const [id] = (await given.fail(1)) as [string]
    await page.goto(`${given.sites.primary.url}/admin/geo${given.list}`)
    await tabTo(page, new RegExp(`^Resync .*/${id}$`))
    await page.keyboard.press('Enter')
    await page.waitForURL(/done=resync-scheduled/)
    await untilHealed(page, id, true)
  })
})

describe('Whoever may only look', () => {
  it('sees everything, no button that changes anything, and is refused where none is needed', async () => {
    const visitor = await given.reader('/sites')
    visitors.push(visitor)
    const { page } = visitor
    const changes = /^(Add|Edit|Remove|Resync|Reverify|Retry|Cancel|Save)/
    await given.fail(1)
    for (const path of ['/sites', given.list, `${given.list}/failures`, `${given.list}/1`, '/failover']) {
      await page.goto(`${given.sites.primary.url}/admin/geo${path}`)
      expect(await page.getByRole('heading', { level: 1 }).count(), path).toBe(1)
      for (const role of ['button', 'link', 'checkbox'] as const)
        expect(await page.getByRole(role, { name: changes }).allTextContents(), path).toEqual([])
    }
    const statuses = await page.evaluate(
      async (paths) => {
        const answers = await Promise.all(paths.map((path) => fetch(path, { method: 'POST', redirect: 'manual' })))
        return answers.map(({ status }) => status)
      },
      ['/sites', `/sites/${given.ids.paris}/remove`, `${given.list}/change`, `${given.list}/run`].map(
        (path) => `/admin/geo${path}`,
      ),
    )
    expect(statuses).toEqual([403, 403, 403, 403])
    const form = await page.goto(`${given.sites.primary.url}/admin/geo/sites/new`)
    expect(form?.status()).toBe(403)
  })
})

describe('Another site', () => {
  it('changes nothing by a form of its own, though the operator is signed in here', async () => {
    const page = await admin('/sites')
    // Another origin, with the same cookies: they know no ports.
    await page.goto(`${given.sites.secondary.url}/widgets`)
    const [answer] = await Promise.all([
      page.waitForResponse((response) => response.url().startsWith(given.sites.primary.url)),
      page
        .setContent(
          `<form method="post" action="${sitesUrl()}/${given.ids.paris}/remove"><button>Win a prize</button></form>`,
        )
        .then(() => page.getByRole('button').click()),
    ])
    expect(answer.status()).toBe(403)
    const { rows } = await given.sites.databases.main.raw("select from geo_nodes where name = 'paris'")
    expect(rows).toHaveLength(1)
  })
})

describe('On the secondary itself', () => {
  it('the same pages show its own registries, and changes are made there', async () => {
    const [id] = (await given.fail(1)) as [string]
    const visitor = await given.browser.visitor()
    visitors.push(visitor)
    await visitor.signIn(given.sites.secondary.url, given.sites.adminToken, `/admin/geo${given.list}`)
    const { page } = visitor
    expect(await page.locator('tbody tr[id^=row-]').count()).toBeGreaterThanOrEqual(WIDGETS)
    await rowOf(page, id)
      .getByRole('button', { name: /^Resync/ })
      .click()
    expect(await notice(page).textContent()).toContain('Scheduled for resync')
    await untilHealed(page, id, true)
  })
})
