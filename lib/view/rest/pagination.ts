import type { Request, Response } from 'express'
import { pageParams } from './node-params.ts'
import { paramsOf } from './request-params.ts'
import { badParams } from './rest-error.ts'

const PER_PAGE = 20
const MOST_PER_PAGE = 100

/** The page of a list that a request asks for, with GitLab's headers about the others. `baseUrl` is of the list, without query. */
export function paginate<Item>(request: Request, response: Response, items: readonly Item[], baseUrl: string): Item[] {
  const params = paramsOf(request, pageParams)
  if (params.per_page === 0) throw badParams(['per_page has a value not allowed'])
  const page = Math.max(params.page ?? 1, 1)
  const perPage = Math.min(Math.max(params.per_page ?? PER_PAGE, 1), MOST_PER_PAGE)
  const pages = Math.ceil(items.length / perPage)
  const next = page < pages ? page + 1 : null
  const previous = page > 1 && page <= pages + 1 ? page - 1 : null

  const url = (to: number) => {
    const query = new URLSearchParams(request.originalUrl.split('?', 2)[1] ?? '')
    query.set('page', String(to))
    query.set('per_page', String(perPage))
    return `${baseUrl}?${query}`
  }
  const links = [
    previous !== null && `<${url(previous)}>; rel="prev"`,
    next !== null && `<${url(next)}>; rel="next"`,
    `<${url(1)}>; rel="first"`,
    `<${url(Math.max(pages, 1))}>; rel="last"`,
  ]
  response.set({
    'X-Total': String(items.length),
    'X-Total-Pages': String(Math.max(pages, 1)),
    'X-Page': String(page),
    'X-Per-Page': String(perPage),
    'X-Next-Page': next === null ? '' : String(next),
    'X-Prev-Page': previous === null ? '' : String(previous),
    Link: links.filter(Boolean).join(', '),
  })
  return items.slice((page - 1) * perPage, page * perPage)
}
