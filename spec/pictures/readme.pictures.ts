import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { parseOptions } from '../../lib/options.ts'
import { openBrowser, type SpecBrowser, type Visitor } from '../support/browser.ts'
import { cardOf } from '../support/browser-sites.ts'
import { ROOT } from '../support/entries.ts'
import { commandOf } from '../support/in-process-cli.ts'
import { until } from '../support/until.ts'
import { paletted } from './paletted.ts'
import { openPicturedSites, type PicturedSites } from './pictured-sites.ts'
import { terminalPage } from './terminal-page.ts'

const FOLDER = join(ROOT, 'docs/pictures')
const SHOWN = { deviceScaleFactor: 2, locale: 'en', viewport: { width: 1280, height: 400 } }
const MOST_BYTES = 200 * 1024
const MARGIN = 24
const FONT = ':root { font-family: "Liberation Sans", sans-serif }'
/** Of the rows of a list, after which the picture ends. */
const ROWS_SHOWN = 9

let given: PicturedSites
let browser: SpecBrowser
let visitor: Visitor
beforeAll(async () => {
  await mkdir(FOLDER, { recursive: true })
  ;[given, browser] = await Promise.all([openPicturedSites(), openBrowser()])
  visitor = await browser.visitor(SHOWN)
  await visitor.signIn(given.sites.primary.url, given.sites.adminToken)
})
afterAll(async () => {
  await browser?.close()
  await given?.close()
})

/** The page from its top, as far as `height`. */
async function take(page: Page, name: string, height?: number): Promise<void> {
  const box = await page.locator('body').boundingBox()
  const clip = { x: 0, y: 0, width: box?.width ?? 0, height: Math.ceil(height ?? box?.height ?? 0) }
  const picture = paletted(await page.screenshot({ clip, fullPage: true }))
  expect(picture.length, name).toBeLessThan(MOST_BYTES)
  await writeFile(join(FOLDER, `${name}.png`), picture)
}

async function see(path: string): Promise<Page> {
  const { page } = visitor
  await page.goto(`${given.sites.primary.url}/admin/geo${path}`)
  return page
}

/** What differs from one machine to the next: fonts and addresses. */
async function abroad(page: Page): Promise<void> {
  await page.evaluate((font) => {
    const sheet = new CSSStyleSheet()
    sheet.replaceSync(font)
    document.adoptedStyleSheets = [sheet]
  }, FONT)
  for (const link of await page.locator('dd a').all()) {
    const text = given.asAbroad((await link.textContent()) ?? '')
    await link.evaluate((element, shown) => {
      element.textContent = shown
    }, text)
  }
}

const listOf = async (site: string) => {
  const { id } = await given.sites.databases.main('geo_nodes').where({ name: site }).first('id')
  return `/sites/${id}/replication/widgets`
}

it('The sites, one of which is being filled', async () => {
  const page = await see('/sites')
  const oslo = cardOf(page, 'oslo')
  await until(async () => /[4-8]\d(\.\d)?%/.test((await oslo.locator('.bar').first().textContent()) ?? ''), 120_000)
  await cardOf(page, 'tokyo').locator('summary').click()
  await abroad(page)
  const box = await page.locator('.card').last().boundingBox()
  await take(page, 'sites', (box?.y ?? 0) + (box?.height ?? 0) + MARGIN)
})

it('The registries of a type', async () => {
  const page = await see(await listOf('paris'))
  await abroad(page)
  const box = await page
    .locator('table')
    .last()
    .locator('tbody tr')
    .nth(ROWS_SHOWN - 1)
    .boundingBox()
  await take(page, 'registries', (box?.y ?? 0) + (box?.height ?? 0))
})

it('What failed, by code', async () => {
  const page = await see(`${await listOf('paris')}/failures`)
  await abroad(page)
  const box = await page.locator('.card').last().boundingBox()
  await take(page, 'failures', (box?.y ?? 0) + (box?.height ?? 0) + MARGIN)
})

it('The command', async () => {
  const { databases, secondary, encryptionKey } = given.sites
  const settings = parseOptions({
    siteName: 'paris',
    mainDb: databases.standby,
    trackingDb: databases.tracking,
    replicables: Object.values(declareReplicables(secondary.blobsDir)).filter((value) => 'blob' in value),
    features: { isEnabled: () => true },
    encryptionKey,
  })
  const geo = commandOf(settings, { isTTY: true })
  const typed = []
  for (const command of ['status', 'failures']) {
    const { stdout } = await geo(command)
    typed.push({ command: `npx geo ${command}`, output: given.asAbroad(stdout) })
  }
  // Nobody's page before: the policy of the admin pages would forbid its style.
  const { page } = await browser.visitor(SHOWN)
  await page.setContent(terminalPage('operator@paris: ~/app', typed))
  await take(page, 'terminal')
})
