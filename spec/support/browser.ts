import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import axe from 'axe-core'
import { type BrowserContext, chromium, type Page } from 'playwright-core'
import { expect } from 'vitest'
import { chromiumPath } from './chromium.ts'

const SCREENSHOTS = fileURLToPath(new URL('../browser/screenshots/', import.meta.url))
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
]
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
const SLOWEST_ACTION_MS = 60_000

export const THEMES = ['light', 'dark'] as const
export type Theme = (typeof THEMES)[number]
export const PHONE = { width: 390, height: 844 }
export const DESKTOP = { width: 1440, height: 900 }

export interface VisitorOptions {
  readonly theme?: Theme
  readonly javaScriptEnabled?: boolean
  readonly viewport?: { readonly width: number; readonly height: number }
  readonly locale?: string
  /** How many pixels of a picture a pixel of the page is wide. */
  readonly deviceScaleFactor?: number
}

/** A person with a browser of their own: no cookie, nothing cached. */
export interface Visitor {
  readonly page: Page
  /** What the console said that is no good, and what was asked of another origin. */
  readonly complaints: readonly string[]
  /** Signs in at a site and goes to a path there. */
  signIn(siteUrl: string, token: string, path?: string): Promise<void>
  close(): Promise<void>
}

export interface SpecBrowser {
  visitor(options?: VisitorOptions): Promise<Visitor>
  close(): Promise<void>
}

/** Chromium, headless, with an empty profile. */
export async function openBrowser(): Promise<SpecBrowser> {
  const browser = await chromium.launch({ executablePath: chromiumPath(), headless: true, args: FLAGS })
  return {
    async visitor({ theme = 'light', viewport = DESKTOP, ...options } = {}) {
      const context = await browser.newContext({ colorScheme: theme, viewport, ...options })
      context.setDefaultTimeout(SLOWEST_ACTION_MS)
      const page = await context.newPage()
      return { page, complaints: complaintsIn(context), signIn: signInWith(page), close: () => context.close() }
    },
    close: () => browser.close(),
  }
}

function complaintsIn(context: BrowserContext): string[] {
  const complaints: string[] = []
  context.on('console', (message) => {
    // What the specs provoke themselves: Chromium tells of each answer that is no success.
    const isAnswer = message.text().startsWith('Failed to load resource')
    if (['error', 'warning'].includes(message.type()) && !isAnswer) complaints.push(`console: ${message.text()}`)
  })
  context.on('weberror', (error) => complaints.push(`uncaught: ${error.error().message}`))
  context.on('request', (request) => {
    const from = request.frame().url()
    const isForeign = from.startsWith('http') && new URL(request.url()).origin !== new URL(from).origin
    if (isForeign && !request.isNavigationRequest() && !request.url().startsWith('data:'))
      complaints.push(`asked another origin: ${request.url()}`)
  })
  return complaints
}

const signInWith =
  (page: Page): Visitor['signIn'] =>
  async (siteUrl, token, path = '/admin/geo/sites') => {
    await page.goto(`${siteUrl}/sign-in?${new URLSearchParams({ next: path })}`)
    await page.getByLabel('Token').fill(token)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.waitForURL(`${siteUrl}${path}`)
  }

/** Nothing that axe-core knows of keeps anybody from using the page. The debugger brings it in, past the policy of the page. */
export async function expectNoViolations(page: Page): Promise<void> {
  // A badge that is still on its way from one theme's colour to the other's has neither.
  await page.evaluate(() => Promise.allSettled(document.getAnimations().map(({ finished }) => finished)))
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate(
    (values) =>
      (globalThis as unknown as { axe: typeof axe }).axe.run({
        runOnly: { type: 'tag', values },
        resultTypes: ['violations'],
      }),
    RULES,
  )
  const found = violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')}: ${failureSummary?.replaceAll(/\s+/g, ' ')}`),
  )
  expect(found, page.url()).toEqual([])
}

/** The whole page as it is now, on a phone and on a desktop, into a folder that is not kept. */
export async function screenshots(page: Page, name: string): Promise<void> {
  await mkdir(SCREENSHOTS, { recursive: true })
  const before = page.viewportSize()
  for (const viewport of [PHONE, DESKTOP]) {
    await page.setViewportSize(viewport)
    await page.screenshot({ path: join(SCREENSHOTS, `${name}-${viewport.width}.png`), fullPage: true })
  }
  if (before) await page.setViewportSize(before)
}
