import { html } from '@remix-run/html-template'
import type { ErrorRequestHandler, Request, RequestHandler, Response } from 'express'
import { ABILITIES } from '../../ability.ts'
import { answering } from '../../databases.ts'
import { GeoError } from '../../errors.ts'
import { type Asker, askerOf } from '../asker.ts'
import { loadAssets } from './assets.ts'
import { failurePage } from './failure-page.ts'
import { FormBody, readForm } from './form-body.ts'
import { Format } from './format.ts'
import { layout } from './layout.ts'
import { Links } from './links.ts'
import { LiveStreams } from './live.ts'
import type { Page, PageMaker, Visit } from './page.ts'
import { requireSameOrigin } from './security.ts'
import { send } from './send.ts'
import type { AdminSources } from './sources.ts'

/** Who only looks need have no name. */
const NOBODY: Asker = Object.freeze({ operator: null, ip: null })

/** What a change leads to: the address of the page to see next, or the form once more with what is wrong with it. */
export type Change = (visit: Visit, form: FormBody) => Promise<string | Page>

/** Turns pages and changes into handlers: who may, in which frame, live or once, and what is said where it fails. */
export class Serving {
  readonly #sources: AdminSources
  readonly #live: LiveStreams

  constructor(sources: AdminSources) {
    this.#sources = sources
    this.#live = new LiveStreams(sources)
  }

  close(): void {
    this.#live.close()
  }

  /** Only readers get further; for others there is nothing to see here. */
  readonly onlyReaders: RequestHandler = (request, response, next) => {
    this.#sources.isAllowed(request, 'read_geo').then((allowed) => {
      if (allowed) next()
      else denied(response)
    }, next)
  }

  show(make: PageMaker): RequestHandler {
    return this.#answering(async (request, response) => {
      let visit = await this.#visit(request)
      const page = await make(visit)
      if (page.live === null || !LiveStreams.isAsked(request)) return this.#send(response, page, visit)
      await this.#live.serve(response, page, {
        make: () => make(this.#later(visit)),
        isStillAllowed: async () => {
          visit = await this.#visit(request)
          return visit.asker.abilities.includes('read_geo')
        },
      })
    })
  }

  move(whereTo: (visit: Visit) => Promise<string>): RequestHandler {
    return this.#answering(async (request, response) => response.redirect(await whereTo(await this.#visit(request))))
  }

  /** In this order: is it one of our pages that asks, may the person, and only then is anything read. */
  change(act: Change): RequestHandler[] {
    const admit = this.#answering(async (request, _response, next) => {
      await this.#sources.sites.ensureFresh()
      requireSameOrigin(request, this.#sources.sites.me?.url ?? null)
      if (!(await this.#sources.isAllowed(request, 'admin_geo')))
        throw new GeoError('FORBIDDEN', 'You may look at these pages, and change nothing')
      next()
    })
    const work = this.#answering(async (request, response) => {
      const visit = await this.#visit(request, await askerOf(this.#sources.settings, request))
      const next = await act(visit, new FormBody(request.body))
      if (typeof next === 'string') response.redirect(303, next)
      else await this.#send(response, next, visit)
    })
    return [admit, readForm, work]
  }

  /** What Express and its parsers refuse, and whatever else went wrong, as a page. */
  readonly failed: ErrorRequestHandler = (reason, request, response, next) => {
    if (response.headersSent) return void response.destroy()
    const page = failurePage(reason, this.#sources.logger)
    // It needs nothing that could fail in turn: no database, nothing of the host's.
    this.#send(response, page, this.#visitOf(request, { ...NOBODY, abilities: [] })).catch(next)
  }

  async #visit(request: Request, asker: Asker = NOBODY): Promise<Visit> {
    await this.#sources.sites.ensureFresh()
    const may = await Promise.all(ABILITIES.map((ability) => this.#sources.isAllowed(request, ability)))
    return this.#visitOf(request, { ...asker, abilities: ABILITIES.filter((_, position) => may[position]) })
  }

  #visitOf(request: Request, asker: Visit['asker']): Visit {
    const nowMs = this.#sources.clock.nowMs()
    const mayChange = asker.abilities.includes('admin_geo')
    return { request, links: new Links(request.baseUrl), format: Format.of(request, nowMs), asker, nowMs, mayChange }
  }

  /** The same visit as time goes by. */
  #later(visit: Visit): Visit {
    const nowMs = this.#sources.clock.nowMs()
    return { ...visit, nowMs, format: visit.format.at(nowMs) }
  }

  async #send(response: Response, page: Page, visit: Visit): Promise<void> {
    const { sites } = this.#sources
    const frame = { assets: loadAssets(), siteName: sites.siteName, role: sites.role }
    response.status(page.status ?? 200)
    await send(visit.request, response, 'html', Buffer.from(String(layout(page, visit, frame))))
  }

  #answering(work: (request: Request, response: Response, next: () => void) => Promise<unknown>): RequestHandler {
    return (request, response, next) => void answering(() => work(request, response, next)).catch(next)
  }
}

/** No style, no script, no name of the site: whoever may not look learns nothing. */
function denied(response: Response): void {
  const text = html`<!doctype html><html lang="en"><head><meta charset="utf-8"><title>403 Forbidden</title></head>
<body><main><h1>403 Forbidden</h1><p>You may not look at this page.</p></main></body></html>`
  response.status(403).type('html').send(String(text))
}
