import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  expectNoViolations,
  openBrowser,
  type SpecBrowser,
  screenshots,
  THEMES,
  type Visitor,
} from '../support/browser.ts'
import { startTwoSites, type TwoSites } from '../support/two-sites.ts'

let sites: TwoSites
let browser: SpecBrowser
let stranger: Visitor
beforeAll(async () => {
  ;[sites, browser] = await Promise.all([startTwoSites({ flags: { widgets: true, gadgets: true } }), openBrowser()])
})
afterAll(() => Promise.all([sites?.stop(), browser?.close()]))
beforeEach(async () => {
  stranger = await browser.visitor()
})
afterEach(() => stranger.close())

const signInPage = (siteUrl: string, next = '/admin/geo/sites') => `${siteUrl}/sign-in?${new URLSearchParams({ next })}`

describe('The sign-in page of the fixture host', () => {
  it.each(THEMES)('can be used by everybody, %s', async (theme) => {
    const visitor = await browser.visitor({ theme })
    await visitor.page.goto(signInPage(sites.primary.url))
    await expectNoViolations(visitor.page)
    await screenshots(visitor.page, `sign-in-${theme}`)
    await visitor.page.getByLabel('Token').fill('wrong')
    await visitor.page.keyboard.press('Enter')
    expect(await visitor.page.getByRole('alert').textContent()).toBe('This token is not known here.')
    await expectNoViolations(visitor.page)
    expect(visitor.complaints).toEqual([])
    await visitor.close()
  })

  it('gives a cookie that is not the token, that no script reads and no other site sends with a form', async () => {
    await stranger.signIn(sites.primary.url, sites.adminToken, '/widgets')
    const [cookie] = await stranger.page.context().cookies()
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Lax', path: '/' })
    expect(cookie?.value).not.toContain(sites.adminToken)
  })

  it('leads to no other site', async () => {
    for (const next of [
      'https://elsewhere.test/',
      '//elsewhere.test/',
      '/\\elsewhere.test/',
      '/.//elsewhere.test',
      'x',
    ]) {
      const { headers, status } = await post({ token: sites.adminToken, next })
      const location = new URL(headers.get('location') ?? '', sites.primary.url)
      expect([status, location.origin]).toEqual([303, sites.primary.url])
    }
    expect((await post({ token: '' })).status).toBe(401)
  })
})

function post(form: Record<string, string>): Promise<Response> {
  const body = new URLSearchParams(form)
  return fetch(`${sites.primary.url}/sign-in`, { method: 'POST', body, redirect: 'manual' })
}

describe.each(['primary', 'secondary'] as const)('A stranger at the admin pages of the %s', (role) => {
  const at = () => `${sites[role].url}/admin/geo/sites`

  it('is sent to the sign-in, and back', async () => {
    await stranger.page.goto(`${at()}?q=a`)
    expect(stranger.page.url()).toBe(signInPage(sites[role].url, '/admin/geo/sites?q=a'))
  })

  it('who is no browser is refused', async () => {
    const answers = await Promise.all([
      fetch(at()),
      fetch(at(), { headers: { accept: 'text/event-stream' } }),
      fetch(at(), { method: 'POST', headers: { accept: 'text/html' } }),
    ])
    expect(answers.map(({ status }) => status)).toEqual([403, 403, 403])
  })
})
