import type { Locator, Page } from 'playwright-core'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { openBrowser, type SpecBrowser, type Visitor, type VisitorOptions } from './browser.ts'
import { startTwoSites, type TwoSites } from './two-sites.ts'

export const WIDGETS = 4
export const GADGETS = 2
/** What a failure says here is what the other side said: it may be anything. */
export const HOSTILE = '<script>document.title = "hostile"</script>'

/** Two running sites with a few files, all verified, and a browser. */
export interface BrowserSites {
  readonly sites: TwoSites
  readonly browser: SpecBrowser
  /** By the name of the site, in geo_nodes. */
  readonly ids: { readonly tokyo: string; readonly paris: string }
  /** Somebody who may do everything, at a page of the primary. */
  admin(path: string, options?: VisitorOptions): Promise<Visitor>
  /** Somebody who may look. */
  reader(path: string, options?: VisitorOptions): Promise<Visitor>
  /** The address of the list of widgets at paris, below `/admin/geo`. */
  readonly list: string
  /** Makes so many widgets of paris fail, for good unless somebody asks for them again; returns the ids of their registries. */
  fail(count: number): Promise<string[]>
  close(): Promise<void>
}

export async function openBrowserSites(): Promise<BrowserSites> {
  const [started, opened] = await Promise.allSettled([
    startTwoSites({ flags: { widgets: true, gadgets: true } }),
    openBrowser(),
  ])
  const close = async () => {
    if (started.status === 'fulfilled') await started.value.stop()
    if (opened.status === 'fulfilled') await opened.value.close()
  }
  try {
    if (started.status === 'rejected') throw started.reason
    if (opened.status === 'rejected') throw opened.reason
    return { ...(await fill(started.value, opened.value)), close }
  } catch (reason) {
    await close()
    throw reason
  }
}

async function fill(sites: TwoSites, browser: SpecBrowser): Promise<Omit<BrowserSites, 'close'>> {
  for (let n = 0; n < WIDGETS; n += 1) await sites.upload('widgets', `widget ${n}.txt`, `widget ${n}`)
  for (let n = 0; n < GADGETS; n += 1) await sites.upload('gadgets', `gadget ${n}.txt`, `gadget ${n}`)
  await sites.untilVerified({ widgets: WIDGETS, gadgets: GADGETS })
  const { main, tracking } = sites.databases
  const rows = await main('geo_nodes').select('id', 'name')
  const idOf = (name: string) => String(rows.find((row) => row.name === name)?.id)
  const ids = { tokyo: idOf('tokyo'), paris: idOf('paris') }
  const visit = async (token: string, path: string, options?: VisitorOptions) => {
    const visitor = await browser.visitor(options)
    await visitor.signIn(sites.primary.url, token, `/admin/geo${path}`)
    return visitor
  }
  return {
    sites,
    browser,
    ids,
    admin: (path, options) => visit(sites.adminToken, path, options),
    reader: (path, options) => visit(sites.readToken, path, options),
    list: `/sites/${ids.paris}/replication/widgets`,
    async fail(count) {
      const failed = await tracking('widget_registry')
        .whereIn('id', tracking('widget_registry').select('id').orderBy('id').limit(count))
        .update({
          state: SYNC_STATE.failed,
          last_sync_failure: HOSTILE,
          error_code: 'HTTP_STATUS',
          retry_count: 3,
          retry_at: tracking.raw("now() + interval '1 day'"),
        })
        .returning('id')
      return failed.map(({ id }) => String(id)).sort((left, right) => Number(left) - Number(right))
    },
  }
}

/** The card of a site on the page of all sites. */
export const cardOf = (page: Page, name: string): Locator =>
  page.locator('details.card').filter({ has: page.getByRole('heading', { name, exact: true }) })

/** Marks the document, so that a reload would show. Returns what asks for the mark. */
export async function marked(page: Page): Promise<() => Promise<boolean>> {
  await page.evaluate(() => Object.assign(globalThis, { marked: true }))
  return () => page.evaluate(() => 'marked' in globalThis)
}

/** Presses the key until what has the focus is called so. */
export async function tabTo(page: Page, name: string | RegExp): Promise<void> {
  const MOST = 80
  for (let n = 0; n < MOST; n += 1) {
    await page.keyboard.press('Tab')
    const focused = await page.evaluate(() => {
      const element = document.activeElement
      const label = element && 'labels' in element ? (element as HTMLInputElement).labels?.[0] : null
      return (element?.getAttribute('aria-label') ?? label?.textContent ?? element?.textContent ?? '').trim()
    })
    if (typeof name === 'string' ? focused === name : name.test(focused)) return
  }
  throw new Error(`No way by Tab to ${name} on ${page.url()}`)
}
