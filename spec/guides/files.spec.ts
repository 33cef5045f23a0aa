import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { parse } from 'yaml'
import { alertRules } from '../support/docs/alert-rules.ts'
import { GUIDES, readGuide } from '../support/guide.ts'
import { hasPromtool, promtool } from '../support/promtool.ts'

const found = await Promise.all(
  GUIDES.map(async (guide) => (await readGuide(guide)).map((block) => ({ guide, ...block }))),
)
const yaml = found.flat().filter(({ language }) => language === 'yaml')

it.each(yaml)('$guide, line $line: YAML whose keys are known', async ({ text }) => {
  const known = ['scrape_configs', 'rule_files', 'livenessProbe', 'readinessProbe', 'terminationGracePeriodSeconds']
  for (const key of Object.keys(parse(text, { strict: true }))) expect(known).toContain(key)
})

it.runIf(hasPromtool)('Prometheus takes the scrape configuration and the rules beside it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'geo-prometheus-'))
  try {
    const [block] = yaml.filter(({ text }) => text.includes('scrape_configs'))
    await writeFile(join(folder, 'prometheus.yml'), block?.text ?? '')
    await writeFile(join(folder, 'alerts.yaml'), alertRules())
    // The token is on the operator's machine alone.
    const { code, output } = await promtool(['check', 'config', '--syntax-only', join(folder, 'prometheus.yml')])
    expect(code, output).toBe(0)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
