import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSpecDatabases, type SpecDatabases } from './support/databases.ts'

interface Ended {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

const program = fileURLToPath(new URL('../lib/cli/geo.ts', import.meta.url))
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
  await writeFile(join(folder, 'wrong.mjs'), 'export default () => ({ siteName: 7 })')
})
afterAll(async () => {
  await databases.destroy()
  await rm(folder, { recursive: true, force: true })
})

function geo(...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...args], { cwd: folder, timeout: 20_000 }, (error, stdout, stderr) => {
      resolve({ status: error ? Number(error.code ?? -1) : 0, stdout, stderr })
    })
  })
}

describe('geo site', () => {
  it('adds sites to the database of the config and lists them', async () => {
    const added = await geo('site', 'add', '--name', 'tokyo', '--url', 'http://tokyo.test', '--primary')
    expect(added).toEqual({
      status: 0,
      stdout: 'Added the primary site "tokyo" at http://tokyo.test/\n',
      stderr: '',
    })
    const config = ['--config', join(folder, 'geo.config.mjs')]
    const options = ['--internal-url', 'http://10.0.0.2', '--files-max-capacity', '3']
    expect(
      await geo('site', 'add', '--name', 'paris', '--url', 'http://paris.test', ...options, ...config),
    ).toMatchObject({
      status: 0,
      stdout: 'Added the secondary site "paris" at http://paris.test/\n',
    })
    const [paris] = await databases.main('geo_nodes').where({ name: 'paris' })
    expect(paris).toMatchObject({ internal_url: 'http://10.0.0.2/', files_max_capacity: 3, primary: false })

    const listed = await geo('site', 'list')
    expect(listed.status).toBe(0)
    expect(listed.stdout.split('\n').map((line) => line.split(/\s+/))).toEqual([
      ['tokyo', 'primary', 'enabled', 'http://tokyo.test/'],
      ['paris', 'secondary', 'enabled', 'http://paris.test/'],
      [''],
    ])
    const { stdout } = await geo('site', 'list', '--json')
    expect(JSON.parse(stdout)).toEqual([
      { name: 'tokyo', primary: true, enabled: true, url: 'http://tokyo.test/' },
      { name: 'paris', primary: false, enabled: true, url: 'http://paris.test/' },
    ])
  })

  it('says what is wrong and what to do, in two lines and with status 1', async () => {
    const ended = await geo('site', 'add', '--name', 'TOKYO', '--url', 'http://elsewhere.test')
    expect(ended).toMatchObject({ status: 1, stdout: '' })
    expect(ended.stderr).toBe(
      'geo: There is a site named "TOKYO" already\n' +
        'SITE_EXISTS: Choose another name, or remove the other site first.\n',
    )
  })
})

describe.concurrent('wrong usage ends with status 1 and a word on standard error', () => {
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
    ['a config that is not there', ['site', 'list', '--config', 'nope.mjs'], /nope\.mjs/],
  ]
  for (const [title, args, said] of cases) {
    it(title, async () => {
      const ended = await geo(...args)
      expect(ended.stderr).toMatch(said)
      expect(ended.stderr).not.toMatch(/\n +at /)
      expect(ended).toMatchObject({ status: 1, stdout: '' })
    })
  }

  it('a database that does not answer', async () => {
    await writeConfig('down.mjs', 'postgres://nobody@127.0.0.1:1/nothing')
    const ended = await geo('site', 'list', '--config', 'down.mjs')
    expect(ended.stderr).toMatch(/ECONNREFUSED/)
    // knex itself says something on standard output.
    expect(ended.status).toBe(1)
  })
})
