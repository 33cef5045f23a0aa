import { expect, it } from 'vitest'
import { verdictOf } from './support/advisories.ts'

const report = (vulnerabilities: object) =>
  JSON.stringify({ auditReportVersion: 2, vulnerabilities, metadata: { dependencies: { total: 421 } } })
const undici = (severity: string) => ({ undici: { name: 'undici', severity, range: '<8.0.1' } })

it.each<[string, string, ReturnType<typeof verdictOf>]>([
  ['nothing', report({}), { outcome: 'clean', text: '421 packages, 0 with advisories' }],
  [
    'something of little weight',
    report(undici('moderate')),
    { outcome: 'clean', text: '421 packages, 1 with advisories\nmoderate: undici <8.0.1' },
  ],
  [
    'something grave',
    report(undici('high')),
    { outcome: 'vulnerable', text: '421 packages, 1 with advisories\nhigh: undici <8.0.1' },
  ],
  [
    'that it answers no such question',
    JSON.stringify({ message: '405 Method Not Allowed', error: { summary: '', detail: '' } }),
    { outcome: 'unanswered', text: 'SKIPPED: the registry does not answer: 405 Method Not Allowed' },
  ],
  ['nothing at all', '', { outcome: 'unanswered', text: 'SKIPPED: the registry does not answer: no JSON' }],
])('A registry that says %s of our packages', (_, output, verdict) => {
  expect(verdictOf(output)).toEqual(verdict)
})
