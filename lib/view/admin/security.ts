import type { Request, RequestHandler } from 'express'
import { GeoError } from '../../errors.ts'
import { isSameOrigin } from '../same-origin.ts'

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
 * Lets a change pass that one of our own pages asked for. What no browser says is refused too: forms are for people.
 * @throws GeoError `CROSS_ORIGIN`
 */
export function requireSameOrigin(request: Request, siteUrl: string | null): void {
  if (isSameOrigin(request, siteUrl)) return
  throw new GeoError('CROSS_ORIGIN', 'This change was not asked for by a page of this site')
}
