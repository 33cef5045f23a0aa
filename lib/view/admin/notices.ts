import { html, type SafeHtml } from '@remix-run/html-template'
import type { Format } from './format.ts'

/** What has been done, told by the page that comes after a change: a word in its address, a sentence here. */

const NOTICES = Object.freeze({
  'site-added': () => 'The site has been added. Its processes begin within five seconds.',
  'site-saved': () => 'The changes are saved. The processes of the site follow within five seconds.',
  'site-removed': () => 'The site has been removed. Its files stay where they are.',
  'resync-scheduled': (count: string) => `Scheduled for resync: ${count}.`,
  'reverify-scheduled': (count: string) => `Scheduled for reverification: ${count}.`,
  'some-busy': (count: string) => `Another process is working on some of them, to which nothing was done: ${count}.`,
  'nothing-chosen': () => 'Nothing was selected, so nothing was done.',
  'run-started': () => 'The run has been started; it is shown below.',
  'run-active': () => 'A run of this kind is not finished yet; it is shown below.',
  'run-cancelled': () => 'The run has been cancelled. What it has done stays.',
} as const)
export type Notice = keyof typeof NOTICES

const PROBLEMS: readonly Notice[] = ['some-busy', 'nothing-chosen', 'run-active']

export function noticeOf({ done, n }: { done?: unknown; n?: unknown }, format: Format): SafeHtml | '' {
  if (typeof done !== 'string' || !Object.hasOwn(NOTICES, done)) return ''
  const count = typeof n === 'string' && /^\d{1,15}$/.test(n) ? Number(n) : 0
  const notice = done as Notice
  const kind = PROBLEMS.includes(notice) ? 'notice warn' : 'notice good'
  return html`<p class="${kind}" role="status">${NOTICES[notice](format.count(count))}</p>`
}
