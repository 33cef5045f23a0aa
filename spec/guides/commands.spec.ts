import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { settle } from '../../lib/testing/settle.ts'
import { readGuide } from '../support/guide.ts'
import { commandOf } from '../support/in-process-cli.ts'
import { type ServedSites, serveSites } from '../support/served-sites.ts'

/** What is for the primary; all else is typed on the secondary. */
const ON_PRIMARY = /^npx geo (site |repair )/
/** Works until it is told to end: spec/package has it, with a server that does no work beside it. */
const ELSEWHERE = /^(npx geo work|WORK=false npm start &)$/
/** What answers a question, and so ends with 1 where something is wrong; all else has done what it says. */
const ASKS = /^npx geo (check|failures|repair --dry-run|verify --sample)\b/
/** What ends only once the processes of the site have done their part. */
const WAITS = /^npx geo resync /

const GUIDES = ['change-keys.md', 'monitor.md', 'selective-sync.md', 'several-processes.md', 'troubleshoot.md']
const blocks = (await Promise.all(GUIDES.map(readGuide))).flat().filter(({ language }) => language === 'sh')
const lines = [...new Set(blocks.flatMap(({ text }) => text.trim().split('\n')))].filter(
  (line) => !ELSEWHERE.test(line),
)

let sites: ServedSites
beforeAll(async () => {
  sites = await serveSites()
  // Which files a sample draws goes by the seed: with this one a tenth of ten is one.
  vi.spyOn(sites.site.clock, 'random').mockReturnValue(0)
  for (let number = 1; number <= 10; number += 1) await sites.addWidget(`widget ${number}`, `the bytes of ${number}`)
  await sites.settle()
})
afterAll(() => sites.close())

async function typed(line: string): Promise<{ status: number; said: string }> {
  expect(line).toMatch(/^npx geo /)
  const { settings } = ON_PRIMARY.test(line) ? sites.primary : sites.site.assembly
  let running = WAITS.test(line)
  const ended = commandOf(settings)(...line.split(' ').slice(2)).finally(() => {
    running = false
  })
  while (running) await sites.settle()
  const { status, stdout, stderr } = await ended
  return { status, said: `${stdout}\n${stderr}` }
}

describe('Where all is well, what the guides say to type', () => {
  it.each(lines)('%s, ends with 0', async (line) => {
    const { status, said } = await typed(line)
    expect(status, said).toBe(0)
  })
})

describe('Where files are bad, an index is missing and the primary cannot be reached, what the guides say to type', () => {
  beforeAll(async () => {
    await sites.addWidget('gone', 'is not there when it is asked for')
    await rm(join(sites.primaryRoot, 'gone'))
    await sites.settle()
    await writeFile(join(sites.primaryRoot, 'widget 1'), 'rot')
    await sites.primaryGeo.bulk.start({ action: 'reverify', type: 'widget' })
    await settle(sites.primary, ['bulk', 'verify-primary'])
    for (let number = 1; number <= 10; number += 1) await writeFile(join(sites.site.root, `widget ${number}`), 'rot')
    await sites.site.databases.tracking.raw('drop index widget_registry_pending_sync')
    await sites.reach('http://127.0.0.1:1/')
  })

  it.each(lines)('%s, ends with 1 where it asks', async (line) => {
    const { status, said } = await typed(line)
    expect(status, said).toBe(ASKS.test(line) ? 1 : 0)
  })
})
