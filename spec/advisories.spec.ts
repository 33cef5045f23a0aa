import { expect, it } from 'vitest'
import { verdictOf } from './support/advisories.ts'

const report = (vulnerabilities: object) =>
  JSON.stringify({ auditReportVersion: 2, vulnerabilities, metadata: { dependencies: { total: 421 } } })
const undici = (severity: string) => ({ undici: { name: 'undici', severity, range: '<8.0.1' } })

type Said = [what: string, output: string, verdict: ReturnType<typeof verdictOf>]

it.each<Said>([
  ['nothing', report({}), { outcome: 'clean', text: '421 packages, 0 with advisories' }],
  ...['info', 'low', 'moderate', 'high', 'critical', 'dire'].map(
    (severity): Said => [
      `something ${severity}`,
      report(undici(severity)),
      { outcome: 'vulnerable', text: `421 packages, 1 with advisories\n${severity}: undici <8.0.1` },
    ],
  ),
  [
    'that it answers no such question',
    JSON.stringify({ message: '405 Method Not Allowed', error: { summary: '', detail: '' } }),
    { outcome: 'unanswered', text: 'SKIPPED: the registry does not answer: 405 Method Not Allowed' },
  ],
  ['nothing at all', '', { outcome: 'unanswered', text: 'SKIPPED: the registry does not answer: no JSON' }],
])('A registry that says %s of our packages', (_, output, verdict) => {
  expect(verdictOf(output)).toEqual(verdict)
})

it('An advisory that is named with a reason is told, and none that is graver than that or of another package', () => {
  const accepted = { undici: { upTo: 'moderate', reason: 'we send no cookies' } }
  const outcomeOf = (...reports: object[]) => verdictOf(report(Object.assign({}, ...reports)), accepted)
  expect(outcomeOf(undici('moderate'))).toEqual({
    outcome: 'clean',
    text: '421 packages, 1 with advisories\nmoderate: undici <8.0.1 (accepted: we send no cookies)',
  })
  expect(outcomeOf(undici('low')).outcome).toBe('clean')
  const knex = { knex: { name: 'knex', severity: 'low' } }
  for (const reports of [[undici('high')], [undici('dire')], [undici('low'), knex]]) {
    expect(outcomeOf(...reports).outcome).toBe('vulnerable')
  }
})
