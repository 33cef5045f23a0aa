import { html } from '@remix-run/html-template'
import { GeoError, messageOf } from '../../errors.ts'
import type { LoggerLike } from '../../log.ts'
import { fromExpress } from '../../transfer/answer-errors.ts'
import type { Page } from './page.ts'

/** What could not be done, why, and what to do. What is no fault of the person's is logged, and told by its code alone. */
export function failurePage(reason: unknown, logger: LoggerLike): Page {
  const known = reason instanceof GeoError ? reason : fromExpress(reason)
  const status = known?.status ?? 500
  if (status >= 500) {
    const cause = messageOf(known?.cause ?? '')
    logger.error({ code: known?.code, error: messageOf(reason), cause }, 'An admin page failed')
  }
  return {
    title: known ? (TITLES[known.code] ?? 'This could not be done') : 'This failed',
    area: 'sites',
    status,
    live: null,
    regions: [
      {
        id: 'failure',
        html: html`<h1>${known ? (TITLES[known.code] ?? 'This could not be done') : 'This failed'}</h1>
<p>${known ? known.message : 'This failed on the server; its log says why.'}</p>
${known ? html`<p class="quiet">${known.advice}</p><p><code>${known.code}</code></p>` : ''}`,
      },
    ],
  }
}

const TITLES: Readonly<Partial<Record<string, string>>> = {
  PAGE_UNKNOWN: 'There is no such page',
  FORBIDDEN: 'You may not do this',
  CROSS_ORIGIN: 'You may not do this',
  SITE_UNREACHABLE: 'The site cannot be reached',
}
