import type { Request } from 'express'

/**
 * Whether a request was made by a page of this site. Browsers say so themselves, in headers that no page can set:
 * `Sec-Fetch-Site` on https and localhost, `Origin` with every form. Null where neither is there: it was no browser of today.
 */
export function isSameOrigin(request: Request, siteUrl: string | null): boolean | null {
  const fetchSite = request.get('sec-fetch-site')
  if (fetchSite !== undefined) return fetchSite === 'same-origin'
  const origin = request.get('origin')
  return origin === undefined ? null : ownOrigins(request, siteUrl).includes(origin)
}

/** As the browser sees it: by its own Host header, and by the address that the site is known under. */
function ownOrigins(request: Request, siteUrl: string | null): string[] {
  const host = request.get('host')
  return [
    ...(host === undefined ? [] : [`${request.protocol}://${host}`]),
    ...(siteUrl === null ? [] : [new URL(siteUrl).origin]),
  ]
}
