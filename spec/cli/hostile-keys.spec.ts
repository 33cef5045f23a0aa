import { afterAll, beforeAll, expect, it } from 'vitest'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { insertSite } from '../../lib/site-table.ts'
import { ENCRYPTION_KEY } from '../support/fixture-rows.ts'
import { commandOf } from '../support/in-process-cli.ts'
import { type ServedSites, serveSites } from '../support/served-sites.ts'

/** Keys are what users call their files, and a refusal is what another site says: neither may draw on an operator's terminal. */

const FORGED = 'Nothing would be lost.'
const KEY = `\u001b[2J\u009b1;1H\u202e\r\n${FORGED}\nx`
const COMMANDS = /[\p{Cc}\p{Bidi_Control}]/gu

let sites: ServedSites
let geo: ReturnType<typeof commandOf>
let onPrimary: ReturnType<typeof commandOf>
let id: string

beforeAll(async () => {
  sites = await serveSites()
  geo = commandOf(sites.site.assembly.settings)
  onPrimary = commandOf(sites.primary.settings)
  id = await sites.addWidget(KEY, 'of a user')
  await sites.site.hear()
  await sites.site.databases.tracking('widget_registry').update({
    state: SYNC_STATE.failed,
    error_code: 'HTTP_STATUS',
    last_sync_failure: `Non-success HTTP response status code 500: ${KEY}`,
  })
  await sites.primary.databases.main('widget_states').update({
    verification_state: 3,
    verification_failure: `File is not checksummable - file does not exist at: ${KEY}`,
  })
  await insertSite(sites.site.databases.main, ENCRYPTION_KEY, { name: `oslo${KEY}`, url: 'http://oslo.test' })
  await sites.site.databases.caughtUp()
})
afterAll(() => sites?.close())

it.each([
  ['failures', () => geo('failures')],
  ['promote --preflight', () => geo('promote', '--preflight')],
  ['explain', () => geo('explain', 'widget', id)],
  ['repair --dry-run', () => onPrimary('repair', '--type', 'widget', '--dry-run')],
  ['site list', () => onPrimary('site', 'list')],
  ['status', () => onPrimary('status')],
  ['wait', () => onPrimary('wait', '--timeout', '0')],
])('geo %s shows what a user has written, and does nothing of it', async (_, run) => {
  const { stdout, stderr } = await run()
  expect(stdout).toContain(`\\u001b[2J\\u009b1;1H\\u202e\\u000d\\u000a${FORGED}\\u000ax`)
  expect(new Set(stdout.match(COMMANDS))).toEqual(new Set(['\n']))
  for (const line of stdout.split('\n')) expect(line.trim().startsWith(FORGED)).toBe(false)
  expect(stderr).toBe('')
})

it.each([
  ['failures', () => geo('failures', '--json')],
  ['promote --preflight', () => geo('promote', '--preflight', '--json')],
  ['explain', () => geo('explain', 'widget', id, '--json')],
  ['site list', () => onPrimary('site', 'list', '--json')],
])('geo %s --json is one line of the same meaning, which does nothing on a terminal', async (_, run) => {
  const { stdout } = await run()
  expect(stdout.match(COMMANDS)).toEqual(['\n'])
  expect(JSON.stringify(JSON.parse(stdout))).toContain(JSON.stringify(KEY).slice(1, -1))
})

it('What went wrong is said in one line, also with its trace', async () => {
  const { status, stderr } = await geo('--debug', 'status', '--site', KEY)
  expect(status).toBe(2)
  expect(new Set(stderr.match(COMMANDS))).toEqual(new Set(['\n']))
  for (const line of stderr.split('\n')) expect(line.startsWith(FORGED)).toBe(false)
})
