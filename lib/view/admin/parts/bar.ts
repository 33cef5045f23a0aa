import { html, type SafeHtml } from '@remix-run/html-template'
import type { Format } from '../format.ts'

export interface BarParts {
  /** One of its own on the page. */
  readonly id: string
  /** What the bar is of: `Synchronization of widgets`. */
  readonly title: string
  readonly total: number | null
  readonly done: number | null
  readonly failed: number | null
  readonly words: {
    readonly total: string
    readonly done: string
    readonly queued: string
    readonly failed: string
    readonly nothing: string
  }
}

/** How much of all is done, queued and failed; the figures behind it open on a press (GB.J.1). */
export function bar({ id, title, total, done, failed, words }: BarParts, format: Format): SafeHtml {
  if (total === null) return html`<span class="quiet">Unknown</span>`
  if (total === 0) return html`<span class="quiet">${words.nothing}</span>`
  const [isDone, isFailed] = [done ?? 0, failed ?? 0]
  const queued = Math.max(total - isDone - isFailed, 0)
  const wide = (some: number) => `${Math.min((some / total) * 100, 100).toFixed(1)}%`
  // A page has hundreds of bars: what is not there is not drawn.
  const part = (kind: string, from: number, length: number) =>
    length > 0 ? html`<rect class="${kind}" height="100%" x="${wide(from)}" width="${wide(length)}"/>` : ''
  const share = format.share(done, total)
  const rows: readonly (readonly [string, number | null])[] = [
    [words.total, total],
    [words.done, done],
    [words.queued, queued],
    [words.failed, failed],
  ]
  return html`<div class="bar"><button type="button" class="bar-button" popovertarget="${id}" aria-label="${title}: ${share}, ${format.count(isFailed)} ${words.failed.toLowerCase()}">
<svg class="track" aria-hidden="true" focusable="false">${part('done', 0, isDone)}${part('failed', isDone, isFailed)}</svg>
<span class="number">${share}</span></button>
<div popover id="${id}" class="popover"><h4>${title}</h4><dl class="figures">${rows.map(([word, value]) => html`<div><dt>${word}</dt><dd>${format.count(value)}</dd></div>`)}</dl></div></div>`
}
