import { html, type SafeHtml } from '@remix-run/html-template'
import type { Format } from '../format.ts'

/** How long ago, the exact moment on hover; the script puts it into the time zone of the browser. */
export function timeOf(iso: string | null | undefined, format: Format, never = '–'): SafeHtml {
  if (!iso) return html`<span class="quiet">${never}</span>`
  return html`<time datetime="${iso}" title="${format.exact(iso)}">${format.relative(iso)}</time>`
}

/** Of a moment in seconds since 1970; 0 is none. */
export function secondsTimeOf(seconds: number | null | undefined, format: Format, never?: string): SafeHtml {
  return timeOf(seconds ? new Date(seconds * 1000).toISOString() : null, format, never)
}
