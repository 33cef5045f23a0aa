import { unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { LOST_TEXT } from '../../lib/verification/failure-text.ts'
import type { Ended } from '../support/cli.ts'
import { commandOf } from '../support/in-process-cli.ts'
import { type ServedSites, serveSites } from '../support/served-sites.ts'
import { until } from '../support/until.ts'

let sites: ServedSites
let geo: ReturnType<typeof commandOf>
let onPrimary: ReturnType<typeof commandOf>
let ids: string[]

beforeAll(async () => {
  sites = await serveSites()
  geo = commandOf(sites.site.assembly.settings)
  onPrimary = commandOf(sites.primary.settings)
  ids = [await sites.addWidget('one', 'first'), await sites.addWidget('two', 'second')]
  await sites.site.hear()
})
afterAll(() => sites.close())

const rows = () => sites.site.databases.tracking('widget_registry').orderBy('widget_id')
const states = async () => (await rows()).map(({ state, verification_state }) => [state, verification_state])
const first = () => ids[0] ?? ''

describe('geo sync and geo verify work what is due, in their own process', () => {
  it('fetch it, then hash it', async () => {
    expect(await geo('sync', 'widget')).toEqual({ status: 0, stdout: '2 fetched, 0 failed\n', stderr: '' })
    expect((await states()).map(([state]) => state)).toEqual([2, 2])
    await sites.site.databases.tracking('widget_registry').update({ verification_state: 0 })
    expect(await geo('verify', '--all', '--json')).toEqual({
      status: 0,
      stdout: '{"verified":2,"failed":0,"failures":{}}\n',
      stderr: '',
    })
    expect(await states()).toEqual([
      [2, 2],
      [2, 2],
    ])
    expect((await geo('sync', '--all')).stdout).toBe('0 fetched, 0 failed\n')
  })

  it('give back all leases', async () => {
    const kinds = await sites.site.databases.tracking('geo_leases').pluck('kind')
    // The spec's own process follows the events.
    expect(kinds).toEqual(['events'])
  })

  it('leave other types alone', async () => {
    await sites.site.databases.tracking('widget_registry').update({ state: 0 })
    expect((await geo('sync', 'gadget')).stdout).toBe('0 fetched, 0 failed\n')
    expect((await geo('sync', 'widget')).stdout).toBe('2 fetched, 0 failed\n')
    await geo('verify', 'widget')
  })

  it('say what failed, and try what failed again where it is named', async () => {
    await unlink(join(sites.primaryRoot, 'one'))
    await sites.site.databases.tracking('widget_registry').where({ widget_id: first() }).update({ state: 0 })
    const failed = await geo('sync', 'widget')
    expect(failed).toMatchObject({ status: 1, stdout: '0 fetched, 1 failed\n  1 FILE_NOT_FOUND\n' })
    // Its next attempt is not due.
    expect(await geo('sync', 'widget')).toMatchObject({ status: 0, stdout: '0 fetched, 0 failed\n' })
    await writeFile(join(sites.primaryRoot, 'one'), 'first')
    expect((await geo('sync', 'widget', '--id', ids[1] ?? '')).stdout).toBe('0 fetched, 0 failed\n')
    expect((await geo('sync', 'widget', '--id', first())).stdout).toBe('1 fetched, 0 failed\n')
    await geo('verify', 'widget')
  })

  it('on the primary hash its files, and fetch nothing', async () => {
    await sites.site.databases.main('widget_states').update({ verification_state: 0 })
    expect(await onPrimary('verify', 'widget')).toMatchObject({ status: 0, stdout: '2 verified, 0 failed\n' })
    expect(await onPrimary('sync', '--all')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('NOT_SECONDARY'),
    })
  })

  it('a primary that does not answer is no success', async () => {
    await sites.site.databases.tracking('widget_registry').where({ widget_id: first() }).update({ state: 0 })
    await sites.reach('http://127.0.0.1:1/')
    expect(await geo('sync', '--all')).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringContaining('PRIMARY_UNREACHABLE'),
    })
    await sites.reach(sites.primaryUrl)
    expect((await geo('sync', '--all')).stdout).toBe('1 fetched, 0 failed\n')
    await geo('verify', '--all')
  })

  it.each([
    [['sync'], /Name types, or say --all\nINVALID_REQUEST/],
    [['sync', 'wodget'], /UNKNOWN_REPLICABLE/],
    [['sync', '--all', '--id', '1'], /--id needs exactly one type/],
    [['verify', '--all', '--seed', '1'], /need --sample/],
    [['verify', '--sample', '1%', '--failed'], /draws by chance/],
    [['resync', 'widget', '--sync-state', 'lost'], /Allowed choices are pending/],
    [['resync', 'widget', '--failed', '--sync-state', 'synced'], /cannot be used with/],
    [['pause', '--site', 'oslo'], /may pause only itself/],
    [['wait', '--site', 'oslo'], /Only the primary knows/],
    [['runs', 'show', '999'], /BULK_RUN_UNKNOWN/],
  ])('wrong usage: %j', async (args, said) => {
    expect(await geo(...args)).toMatchObject({ status: 2, stdout: '', stderr: expect.stringMatching(said) })
  })
})

describe('geo resync and geo reverify start bulk runs', () => {
  it('mark the rows and say what comes next', async () => {
    const ended = await geo('resync', 'widget', '--id', first())
    expect(ended.stdout).toMatch(/^Run \d+, resync of widget: finished, 1 of 1 rows changed\n$/)
    expect(ended).toMatchObject({ status: 0, stderr: expect.stringContaining('geo wait') })
    expect(await states()).toEqual([
      [0, 4],
      [2, 2],
    ])
    await sites.settle()
  })

  it('only count in a dry run', async () => {
    const ended = await geo('reverify', '--all', '--dry-run')
    expect(ended.stdout).toMatch(/reverify of widget \(dry run\): finished, 2 of 2 rows would be changed\nRun \d+, rev/)
    expect(ended).toMatchObject({ status: 0, stderr: '' })
  })

  it('can be left to the processes of the site, listed and cancelled', async () => {
    const stored = await geo('reverify', 'widget', '--no-wait', '--json')
    const [{ id, state }] = JSON.parse(stored.stdout)
    expect(state).toBe('waiting')
    expect(await geo('reverify', 'widget')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('BULK_RUN_ACTIVE'),
    })
    expect((await geo('runs', 'list')).stdout).toMatch(new RegExp(`^Run ${id}, reverify of widget: waiting`))
    expect((await geo('runs', 'cancel', id)).stdout).toMatch(/: cancelled, 0 of 0 rows changed\n$/)
    expect(JSON.parse((await geo('runs', 'show', id, '--json')).stdout)).toMatchObject({ id, state: 'cancelled' })
  })

  it('are cancelled by Ctrl-C', async () => {
    const ended = await interrupted('resync', 'widget')
    expect(ended).toMatchObject({ status: 1, stdout: expect.stringMatching(/: cancelled, /) })
    expect(ended.stderr).toContain('cancelled; what was marked stays marked')
    await sites.settle()
  })
})

/** A command that begins a bulk run and gets a Ctrl-C in the middle of it. */
async function interrupted(...args: string[]): Promise<Ended> {
  const waits = Promise.withResolvers<void>()
  // Another process holds the rows, so that nothing is done here.
  const holding = sites.site.databases.tracking.transaction(async (trx) => {
    await trx('widget_registry').forUpdate()
    await waits.promise
  })
  const running = commandOf(sites.site.assembly.settings, { isTTY: true })(...args)
  await until(() => running.said.includes('resync of widget: '))
  running.interrupt()
  const ended = await running
  waits.resolve()
  await holding
  return ended
}

describe('geo failures', () => {
  beforeEach(async () => {
    const failed = { state: 3, last_sync_failure: 'Gone there', error_code: 'FILE_NOT_FOUND', retry_count: 2 }
    await sites.site.databases.tracking('widget_registry').where({ widget_id: first() }).update(failed)
  })

  it('groups them by code, and ends with 1', async () => {
    const { status, stdout } = await geo('failures')
    expect(status).toBe(1)
    expect(stdout).toMatch(
      /^FILE_NOT_FOUND {2}widget: 1\n {2}Newest: #\d+ at 20.*Z: Gone there\n {2}What to do: Restore the file/,
    )
    expect(JSON.parse((await geo('failures', '--json')).stdout)).toEqual([
      {
        type: 'widget',
        code: 'FILE_NOT_FOUND',
        count: 1,
        newest: { id: first(), message: 'Gone there', at: expect.any(String) },
        advice: expect.stringContaining('Restore'),
      },
    ])
  })

  it('has one group tried again', async () => {
    expect(await geo('failures', '--retry', 'STORAGE_FULL')).toMatchObject({ status: 2 })
    expect((await geo('failures', '--retry', 'FILE_NOT_FOUND')).stdout).toMatch(/finished, 1 of 2 rows changed\n$/)
    await sites.settle()
    expect(await geo('failures')).toEqual({ status: 0, stdout: 'Nothing failed\n', stderr: '' })
  })

  it('ends with 1 where that is cancelled', async () => {
    const ended = await interrupted('failures', '--retry', 'FILE_NOT_FOUND')
    expect(ended).toMatchObject({ status: 1, stdout: expect.stringMatching(/: cancelled, /) })
    expect(ended.stderr).toContain('cancelled; what was marked stays marked')
    await sites.settle()
  })

  it('on the primary reads what its verification says', async () => {
    await sites.settle()
    const { main } = sites.site.databases
    const failed = { verification_state: 3, verification_failure: 'FILE_MISSING: Widget has no file' }
    await main('widget_states').where({ widget_id: first() }).update(failed)
    expect((await onPrimary('failures')).stdout).toMatch(/^FILE_MISSING {2}widget: 1\n/)
    expect((await onPrimary('failures', '--retry', 'FILE_MISSING')).stdout).toMatch(
      /reverify of widget: finished, 1 of/,
    )
    await onPrimary('verify', '--all')
    expect((await onPrimary('failures')).status).toBe(0)
  })
})

describe('geo wait', () => {
  it('ends with 0 once all is verified, and says what it waits for meanwhile', async () => {
    await sites.settle()
    expect(await geo('wait')).toEqual({ status: 0, stdout: 'All is replicated and verified\n', stderr: '' })

    await sites.addWidget('three', 'third')
    await sites.site.databases.caughtUp()
    expect(await geo('wait', '--timeout', '0')).toMatchObject({
      status: 1,
      stdout: 'Not all is replicated and verified:\n  events of the primary are still to be read\n',
    })
    await sites.site.hear()
    const { settings } = sites.site.assembly
    const waiting = commandOf(
      { ...settings, clock: { ...settings.clock, sleep: () => settings.clock.sleep(10) } },
      { isTTY: true },
    )('wait')
    await until(() => waiting.said.includes('widgets: 2 of 3 verified'))
    await sites.settle()
    expect(await waiting).toMatchObject({ status: 0 })
  })

  it('is not content with a type that was never compared with its rows', async () => {
    const { tracking } = sites.site.databases
    await tracking('geo_reconciliations').where({ replicable_name: 'gadget' }).delete()
    expect(await geo('wait', '--timeout', '0', '--json')).toMatchObject({
      status: 1,
      stdout: `${JSON.stringify({ done: false, waitingFor: ["gadgets: not compared with the host's rows yet"] })}\n`,
    })
    expect((await geo('wait', '--timeout', '0', '--type', 'widget')).status).toBe(0)
    sites.site.clock.advance(61_000)
    await sites.settle()
  })

  it('on the primary goes by what the secondaries told after the last event', async () => {
    const report = async () => {
      await sites.site.assembly.viewing.gathering.gather()
      await sites.site.run('report-position')
    }
    const missing = async () => JSON.parse((await onPrimary('wait', '--timeout', '0', '--json')).stdout).waitingFor
    expect(await missing()).toEqual(['paris: has told nothing yet'])
    await report()
    expect(await missing()).toEqual([])

    await sites.addWidget('four', 'fourth')
    expect(await missing()).toEqual(['paris: events are still to be read'])
    await sites.site.hearInTurn()
    sites.site.clock.advance(31_000)
    await sites.site.run('report-position')
    expect(await missing()).toEqual(['paris: has not counted since it read the last event'])
    await report()
    expect(await missing()).toEqual(['paris: widgets: 3 of 4 verified'])
    await sites.settle()
    await report()
    expect(await onPrimary('wait', '--site', 'paris')).toMatchObject({ status: 0 })
  })
})

describe('geo explain', () => {
  it('says everything of a copy that is verified', async () => {
    const { status, stdout } = await geo('explain', 'widget', first())
    expect(status).toBe(0)
    expect(stdout).toMatch(
      new RegExp(`^widget #${first()} on paris \\(secondary\\)\\nThe copy here is verified\\.\\n\\nThe host's row\\n`),
    )
    for (const line of [
      / Key of its file: one\n/,
      /On the primary\n +Verification: succeeded\n +Checksum: [0-9a-f]{16} \(xxh64\)\n/,
      / +Sync: synced\n/,
      / +Checksum: [0-9a-f]{16}, the same\n/,
      / +On disk now: yes, 5 B\n/,
      /Events\n(.*\n)* +#\d+: created at 20/,
    ])
      expect(stdout).toMatch(line)
  })

  it('says why one failed, with advice, and whether its file is there', async () => {
    const failed = {
      state: 3,
      last_sync_failure: 'Gone there',
      error_code: 'FILE_NOT_FOUND',
      retry_count: 2,
      retry_at: '2100-01-01',
    }
    await sites.site.databases.tracking('widget_registry').where({ widget_id: first() }).update(failed)
    await unlink(join(sites.site.root, 'one'))
    const known = JSON.parse((await geo('explain', 'widget', first(), '--json')).stdout)
    expect(known).toMatchObject({
      summary: ['It failed: Gone there'],
      copy: { state: 'failed', attempts: 2, retryAt: '2100-01-01T00:00:00.000Z' },
      failure: { code: 'FILE_NOT_FOUND', advice: expect.stringContaining('Restore') },
      file: { key: 'one', bytes: null },
    })
    await geo('sync', 'widget', '--failed')
    await geo('verify', '--all')
  })

  it('of the primary tells its own side', async () => {
    const known = JSON.parse((await onPrimary('explain', 'widget', first(), '--json')).stdout)
    expect(known).toMatchObject({
      copy: null,
      summary: ['The file is what its recorded checksum says.'],
      file: { bytes: 5 },
    })
  })

  it('ends with 1 where nobody knows it, and with 2 where it cannot be one', async () => {
    expect(await geo('explain', 'widget', '4711')).toMatchObject({
      status: 1,
      stdout: expect.stringContaining('The host has no such row.'),
    })
    expect(await geo('explain', 'widget', 'x')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('INVALID_RECORD_ID'),
    })
  })
})

describe('geo pause and geo resume', () => {
  it('on a secondary have the primary write it, also while it is paused', async () => {
    const enabled = async () => (await sites.site.databases.main('geo_nodes').where({ name: 'paris' }).first()).enabled
    expect(await geo('pause')).toEqual({
      status: 0,
      stdout: 'The site "paris" is paused; its processes follow within seconds\n',
      stderr: '',
    })
    expect(await enabled()).toBe(false)
    await sites.site.databases.caughtUp()
    expect(await geo('sync', '--all')).toMatchObject({ status: 2, stderr: expect.stringContaining('SITE_DISABLED') })
    expect(await geo('resume')).toMatchObject({ status: 0, stderr: '' })
    expect(await enabled()).toBe(true)
  })

  it('on the primary write the table', async () => {
    expect((await onPrimary('pause', '--site', 'paris')).stdout).toMatch(/^The site "paris" is paused/)
    expect(await sites.site.databases.main('geo_nodes').where({ name: 'paris' }).first('enabled')).toEqual({
      enabled: false,
    })
    expect((await onPrimary('resume', '--site', 'paris')).stdout).toMatch(/^The site "paris" is enabled/)
    expect(await onPrimary('pause')).toMatchObject({ status: 2, stderr: expect.stringContaining('--site') })
  })
})

describe('geo failures on the primary', () => {
  it('names a missing file by its code, as geo explain does', async () => {
    const { main } = sites.site.databases
    const id = await sites.addWidget('lost', 'third')
    await unlink(join(sites.primaryRoot, 'lost'))
    await main('widget_states').where({ widget_id: id }).update({ verification_state: 0 })
    await onPrimary('verify', 'widget')
    const message = 'Error during verification: File is not checksummable - file does not exist at: lost'
    expect(JSON.parse((await onPrimary('failures', '--type', 'widget', '--json')).stdout)).toContainEqual({
      type: 'widget',
      code: 'FILE_MISSING',
      count: expect.any(Number),
      newest: { id, message, at: expect.any(String) },
      advice: expect.stringContaining('On the primary, restore the file.'),
    })
    const explained = JSON.parse((await onPrimary('explain', 'widget', id, '--json')).stdout)
    expect(explained.failure).toMatchObject({ code: 'FILE_MISSING', message })
  })

  it('names what a process was lost at by its code', async () => {
    const { main } = sites.site.databases
    const id = await sites.addWidget('heavy', 'fourth')
    const failed = { verification_state: 3, verification_failure: LOST_TEXT }
    await main('widget_states').where({ widget_id: id }).update(failed)
    const groups = JSON.parse((await onPrimary('failures', '--json')).stdout) as { code: string }[]
    expect(groups.map(({ code }) => code)).toContain('WORKER_LOST')
    expect(groups.map(({ code }) => code)).not.toContain('UNKNOWN')
  })
})
