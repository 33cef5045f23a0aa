import { SIGNALS } from '../../../lib/signal-catalogue.ts'
import { page, table } from './markdown.ts'

export function eventsPage(): string {
  const sections = Object.entries(SIGNALS).map(([name, { when, fields }]) => {
    const rows = Object.entries(fields).map(([field, meaning]) => [`\`${field}\``, meaning])
    return `## \`${name}\`\n\n${when}\n\n${table(['field', 'meaning'], rows)}`
  })
  return page(
    'Events for the host',
    '`const off = geo.on(name, listener)` calls the listener with what this process does from then on, each time once it is committed; `off()` ends it. What other processes of the site do, they tell their own listeners. A listener is not waited for; what it throws or rejects with is one line of the log and goes no further.',
    ...sections,
  )
}
