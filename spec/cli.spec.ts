import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Knex } from 'knex'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadSettings } from '../lib/cli/config.ts'
import { geo as geoProcess } from './support/cli.ts'
import { createSpecDatabases, type SpecDatabases } from './support/databases.ts'
import { commandWith } from './support/in-process-cli.ts'

let databases: SpecDatabases
let folder: string

/** A config file as a host would write it, in a folder of its own. */
async function writeConfig(name: string, connection: string): Promise<void> {
  const knex = JSON.stringify(import.meta.resolve('knex'))
  const text = `import createKnex from ${knex}
    const mainDb = createKnex({ client: 'pg', connection: ${JSON.stringify(connection)} })
    export default { siteName: 'tokyo', mainDb, replicables: [], encryptionKey: '${'ab'.repeat(32)}' }`
  await writeFile(join(folder, name), text)
}

beforeAll(async () => {
  databases = await createSpecDatabases()
  folder = await mkdtemp(join(tmpdir(), 'geo-cli-'))
  await writeConfig('geo.config.mjs', databases.mainUrl)
  await writeFile(join(folder, 'empty.mjs'), 'export const nothing = 1')
  await writeFile(join(folder, 'broken.mjs'), 'export default {')
  await writeFile(join(folder, 'wrong.mjs'), 'export default () => ({ siteName: 7 })')
})
afterAll(async () => {
  await Promise.all([...opened].map((db) => db.destroy()))
  await databases.destroy()
  await rm(folder, { recursive: true, force: true })
})

/** In this process; the process of its own is another spec's. */
const opened = new Set<Knex>()
const geo = commandWith(async (config = 'geo.config.mjs') => {
  const settings = await loadSettings(join(folder, config))
  opened.add(settings.mainDb)
  return { settings, close: async () => undefined }
})

describe('geo site', () => {
  it('adds sites to the database of the config and lists them', async () => {
    const added = await geo('site', 'add', '--name', 'tokyo', '--url', 'http://tokyo.test', '--primary')
    expect(added).toEqual({
      status: 0,
      stdout: 'Added the primary site "tokyo" at http://tokyo.test/\n',
      stderr: '',
    })
    const config = ['--config', 'geo.config.mjs']
    const options = ['--internal-url', 'http://10.0.0.2', '--files-max-capacity', '3', '--redirect-host', 'a.example']
    expect(
      await geo('site', 'add', '--name', 'paris', '--url', 'http://paris.test', ...options, ...config),
    ).toMatchObject({
      status: 0,
      stdout: 'Added the secondary site "paris" at http://paris.test/\n',
    })
    const [paris] = await databases.main('geo_nodes').where({ name: 'paris' })
    expect(paris).toMatchObject({
      internal_url: 'http://10.0.0.2/',
      files_max_capacity: 3,
      redirect_hosts: ['a.example'],
      primary: false,
    })

    const listed = await geo('site', 'list')
    expect(listed.status).toBe(0)
    expect(listed.stdout.split('\n').map((line) => line.split(/\s+/))).toEqual([
      ['tokyo', 'primary', 'enabled', 'http://tokyo.test/'],
      ['paris', 'secondary', 'enabled', 'http://paris.test/'],
      [''],
    ])
    const { stdout } = await geo('site', 'list', '--json')
    const plain = { enabled: true, epoch: 0, fencedByEpoch: null, readOnlySince: null }
    expect(JSON.parse(stdout)).toEqual([
      { name: 'tokyo', primary: true, url: 'http://tokyo.test/', ...plain },
      { name: 'paris', primary: false, url: 'http://paris.test/', ...plain },
    ])
  })

  it('lifts a limit that was set', async () => {
    const options = ['--bytes-per-second', '--copies-reverification-days']
    for (const [value, kept] of [
      ['5000', { transfer_bytes_per_second: '5000', copies_reverification_interval: 5000 }],
      ['none', { transfer_bytes_per_second: null, copies_reverification_interval: null }],
    ] as const) {
      const { stderr } = await geo('site', 'update', 'paris', ...options.flatMap((option) => [option, value]))
      expect(stderr).toBe('')
      expect(await databases.main('geo_nodes').where({ name: 'paris' }).first()).toMatchObject(kept)
    }
  })

  it('names hosts to which a site may send others, and none', async () => {
    const hosts = async () => (await databases.main('geo_nodes').where({ name: 'paris' }).first()).redirect_hosts
    const set = (...values: string[]) =>
      geo('site', 'update', 'paris', ...values.flatMap((value) => ['--redirect-host', value]))
    expect((await set('files.example', '10.0.0.5:9000')).stdout).toBe('Changed the site "paris": redirectHosts\n')
    expect(await hosts()).toEqual(['files.example', '10.0.0.5:9000'])
    expect(await set('http://files.example')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('\nINVALID_SITE'),
    })
    expect(await set('none', 'a.example')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('\nINVALID_REQUEST'),
    })
    await set('none')
    expect(await hosts()).toEqual([])
  })

  it('changes settings and forgets a site', async () => {
    const changed = await geo('site', 'update', 'paris', '--bytes-per-second', '5000', '--internal-url', 'none')
    expect(changed.stdout).toBe('Changed the site "paris": internalUrl, transferBytesPerSecond\n')
    const [paris] = await databases.main('geo_nodes').where({ name: 'paris' })
    expect(paris).toMatchObject({ internal_url: null, transfer_bytes_per_second: '5000' })

    expect(await geo('site', 'remove', 'tokyo')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('\nINVALID_SITE'),
    })
    expect(await geo('site', 'remove', 'paris')).toMatchObject({ status: 0, stdout: 'Removed the site "paris"\n' })
    expect(await databases.main('geo_nodes').pluck('name')).toEqual(['tokyo'])
  })

  it('says what is wrong and what to do, in two lines and with status 2', async () => {
    const ended = await geo('site', 'add', '--name', 'TOKYO', '--url', 'http://elsewhere.test')
    expect(ended).toMatchObject({ status: 2, stdout: '' })
    expect(ended.stderr).toBe(
      'geo: There is a site named "TOKYO" already\n' +
        'SITE_EXISTS: Choose another name, or remove the other site first.\n',
    )
  })
})

describe('the process', () => {
  it('finds the config in its folder, and ends with the code of the command', async () => {
    expect(await geoProcess(folder, 'site', 'list', '--json')).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('tokyo'),
    })
    const ended = await geoProcess(folder, 'site', 'remove', 'nowhere')
    expect(ended).toMatchObject({ status: 2, stdout: '', stderr: expect.stringContaining('SITE_UNKNOWN') })
  })
})

describe.concurrent('wrong usage ends with status 2 and a word on standard error', () => {
  const cases: [title: string, args: string[], said: RegExp][] = [
    ['a command that does not exist', ['fly'], /unknown command 'fly'/],
    ['an option that does not exist', ['site', 'list', '--yaml'], /unknown option '--yaml'/],
    ['a missing option', ['site', 'add', '--name', 'x'], /required option '--url <url>'/],
    [
      'a number that is none',
      ['site', 'add', '--name', 'x', '--url', 'http://x', '--files-max-capacity', '-1'],
      /whole/,
    ],
    ['an address that is none', ['site', 'add', '--name', 'x', '--url', 'x'], /INVALID_SITE/],
    ['a config that exports nothing', ['site', 'list', '--config', 'empty.mjs'], /INVALID_OPTIONS/],
    ['a config with wrong options', ['site', 'list', '--config', 'wrong.mjs'], /siteName: .*\nINVALID_OPTIONS/],
    [
      'a config that cannot be read',
      ['site', 'list', '--config', 'broken.mjs'],
      /broken\.mjs: .*\nCONFIG_UNREADABLE: .*enums/,
    ],
    ['a config that is not there', ['site', 'list', '--config', 'nope.mjs'], /nope\.mjs/],
  ]
  for (const [title, args, said] of cases) {
    it(title, async () => {
      const ended = await geo(...args)
      expect(ended.stderr).toMatch(said)
      expect(ended.stderr).not.toMatch(/\n +at /)
      expect(ended).toMatchObject({ status: 2, stdout: '' })
    })
  }

  it('a stack trace is there only for --debug', async () => {
    const ended = await geo('site', 'list', '--debug', '--config', 'nope.mjs')
    expect(ended.stderr).toMatch(
      /^geo: .*\nCONFIG_NOT_FOUND: .*\nConfigurationError: .*\n +at [\s\S]*caused by Error: ENOENT/,
    )
  })

  it('a database that does not answer', async () => {
    await writeConfig('down.mjs', 'postgres://nobody@127.0.0.1:1/nothing')
    const ended = await geo('site', 'list', '--config', 'down.mjs')
    expect(ended.stderr).toMatch(/ECONNREFUSED/)
    expect(ended).toMatchObject({ status: 2, stdout: '' })
  })
})
