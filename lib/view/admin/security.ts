import type { Request, RequestHandler } from 'express'
import { GeoError } from '../../errors.ts'

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** Nothing of another origin, nothing inline, in nobody's frame, kept by nobody. */
export const secureHeaders: RequestHandler = (_request, response, next) => {
  response.set({
    'Content-Security-Policy': POLICY,
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    // With `no-referrer`, browsers would send `Origin: null` with our own forms.
    'Referrer-Policy': 'same-origin',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
    'Cache-Control': 'no-store',
  })
  next()
}

/**
 * Whether a change was asked for by one of our own pages. Browsers say so themselves, in headers that no page can set:
 * `Sec-Fetch-Site` on https and localhost, `Origin` with every form. Without either it was no browser of today, and is refused.
 * @throws GeoError `CROSS_ORIGIN`
 */
export function requireSameOrigin(request: Request, siteUrl: string | null): void {
  const fetchSite = request.get('sec-fetch-site')
  if (fetchSite !== undefined) {
    if (fetchSite === 'same-origin') return
  } else {
    const origin = request.get('origin')
    if (origin !== undefined && ownOrigins(request, siteUrl).includes(origin)) return
  }
  throw new GeoError('CROSS_ORIGIN', 'This change was not asked for by a page of this site')
}

/** As the browser sees it: by its own Host header, and by the address that the site is known under. */
function ownOrigins(request: Request, siteUrl: string | null): string[] {
  const host = request.get('host')
  return [
    ...(host === undefined ? [] : [`${request.protocol}://${host}`]),
    ...(siteUrl === null ? [] : [new URL(siteUrl).origin]),
  ]
}
