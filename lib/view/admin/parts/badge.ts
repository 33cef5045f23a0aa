import { html, type SafeHtml } from '@remix-run/html-template'

/** What a state means to people, whatever it is a state of. Each has a sign beside its colour. */
export type Tone = 'good' | 'bad' | 'warn' | 'busy' | 'off'

const SIGNS: Readonly<Record<Tone, string>> = { good: '✓', bad: '✕', warn: '◔', busy: '↻', off: '○' }

export function badge(tone: Tone, text: string): SafeHtml {
  return html`<span class="badge ${tone}"><span aria-hidden="true">${SIGNS[tone]}</span> ${text}</span>`
}
