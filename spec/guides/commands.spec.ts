import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readGuide } from '../support/guide.ts'
import { commandOf } from '../support/in-process-cli.ts'
import { type ServedSites, serveSites } from '../support/served-sites.ts'

let sites: ServedSites
beforeAll(async () => {
  sites = await serveSites()
  await sites.addWidget('one', 'first')
  await sites.settle()
})
afterAll(() => sites.close())

/** What is for the primary; all else is typed on the secondary. */
const ON_PRIMARY = /^npx geo (site |repair )/
/** Works until it is told to end: spec/journey/work-apart has it, with a server that does no work beside it. */
const ELSEWHERE = /^(npx geo work|WORK=false npm start &)$/

const GUIDES = ['monitor.md', 'selective-sync.md', 'several-processes.md', 'troubleshoot.md']
const lines = (
  await Promise.all(
    GUIDES.map(async (guide) => {
      const blocks = (await readGuide(guide)).filter(({ language }) => language === 'sh')
      return blocks.flatMap(({ text }) => text.trim().split('\n')).map((line) => ({ guide, line }))
    }),
  )
).flat()

describe('What the guides say to type ends as documented', () => {
  it.each(lines.filter(({ line }) => !ELSEWHERE.test(line)))('$guide: $line', async ({ line }) => {
    expect(line).toMatch(/^npx geo /)
    const { assembly } = sites.site
    const { settings } = ON_PRIMARY.test(line) ? sites.primary : assembly
    let running = true
    const ended = commandOf(settings)(...line.split(' ').slice(2)).finally(() => {
      running = false
    })
    while (running) await sites.settle()
    const { status, stderr } = await ended
    expect(status, stderr).toBeLessThan(2)
  })
})
