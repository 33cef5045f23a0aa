import { html, type SafeHtml } from '@remix-run/html-template'

type Value = SafeHtml | string | number | null

/** Names and values, one below the other; what is null has no line. */
export function definitions(lines: readonly (readonly [name: string, value: Value])[]): SafeHtml {
  return html`<dl class="lines">${lines
    .filter(([, value]) => value !== null)
    .map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`
}
