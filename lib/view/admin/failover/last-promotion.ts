import { html, type SafeHtml } from '@remix-run/html-template'
import type { Knex } from 'knex'
import { firstLosses, type Loss, type LossFinding, lastPromotion } from '../../../failover/promotion-table.ts'
import type { Visit } from '../page.ts'
import { badge } from '../parts/badge.ts'
import { definitions } from '../parts/definitions.ts'
import { timeOf } from '../parts/time.ts'

const MOST_SHOWN = 50
const MOST_COUNTED = 10_000

const FINDINGS: Readonly<Record<LossFinding, SafeHtml>> = Object.freeze({
  missing: badge('bad', 'Missing'),
  different: badge('bad', 'Different'),
  unreadable: badge('bad', 'Unreadable'),
  unproven: badge('warn', 'Nothing to tell by'),
})

/** What the last promotion did, as `geo promote` reported it; nothing where there was none. */
export async function lastPromotionPart(main: Knex, { format }: Visit): Promise<SafeHtml> {
  const promotion = await lastPromotion(main)
  if (!promotion) return html``
  const { epoch, siteName, formerSiteName, promotedAt, replayedAt, sealed, ended } = promotion
  const { first, lost, unproven } = await firstLosses(main, epoch, { limit: MOST_SHOWN, countUpTo: MOST_COUNTED })
  const left = sealed
    ? null
    : formerSiteName === null
      ? html`Whatever another site wrote as the primary meanwhile: <code>geo demote</code> there lists it.`
      : html`Whatever ${formerSiteName} wrote after ${replayedAt === null ? 'the last transaction that arrived' : format.exact(replayedAt)}: <code>geo demote</code> there lists it.`
  return html`<h2>Last promotion</h2>
${definitions([
  ['Primary', `${siteName}${formerSiteName === null ? '' : `, in place of ${formerSiteName}`}`],
  ['Epoch', String(epoch)],
  ['When', timeOf(promotedAt, format)],
  ['Had not arrived', left ?? 'Nothing'],
  ['Lost of what had arrived', upTo(lost, format)],
  ['There, with nothing recorded to tell by', unproven === 0 ? null : upTo(unproven, format)],
  ['Looked at', ended ? null : badge('warn', 'Not everything yet: run geo promote again')],
])}
${first.length === 0 ? '' : lossTable(first, lost + unproven, format)}`
}

function lossTable(losses: readonly Loss[], all: number, format: Visit['format']): SafeHtml {
  return html`<div class="table-scroll" tabindex="0" role="group" aria-label="Lost with the last promotion"><table class="cards"><thead><tr><th scope="col">Record</th><th scope="col">File</th><th scope="col">Found</th><th scope="col">Why</th></tr></thead><tbody>${losses.map(
    ({ type, id, key, finding, message }) =>
      html`<tr><th scope="row" class="wrap" data-label="Record">${type} #${id}</th><td class="wrap" data-label="File">${key ?? '–'}</td><td data-label="Found">${FINDINGS[finding]}</td><td class="wrap" data-label="Why">${message ?? ''}</td></tr>`,
  )}</tbody></table></div>${all > losses.length ? html`<p class="quiet">The first ${format.count(losses.length)} are shown; <code>geo promote --json</code> lists them.</p>` : ''}`
}

function upTo(count: number, format: Visit['format']): string {
  return count >= MOST_COUNTED ? `${format.count(MOST_COUNTED)}+` : format.count(count)
}
