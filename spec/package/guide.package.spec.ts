import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { findPorts } from '../../fixtures/demo/ports.ts'
import { createDatabase, databaseUrl, dropDatabase } from '../../lib/testing/postgres/database-server.ts'
import { ROOT } from '../support/entries.ts'
import { readGuide } from '../support/guide.ts'
import { GuideRun } from '../support/guide-run.ts'
import { keptOf } from '../support/reader-folder.ts'

const PLAIN_APP = join(ROOT, 'fixtures/plain-app')
const blocks = await readGuide('add-to-an-existing-app.md')

/** What `npm run` and vitest add to the environment is no reader's. */
function withoutNpm(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const own = /^(npm_(lifecycle|package|command|execpath|node_execpath|config_local_prefix)|INIT_CWD$|VITEST|NODE_ENV$)/
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !own.test(name)))
}

let folder: string
let reader: GuideRun

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'geo-guide-'))
  const { primaryUrl, standbyUrl, trackingUrl } = inject('databaseServers')
  await createDatabase(primaryUrl, 'photos')
  await createDatabase(trackingUrl, 'tracking')
  const [first, second] = await findPorts(null)
  reader = new GuideRun({
    folder,
    replaced: {
      'postgres://postgres@localhost:5432/photos': databaseUrl(primaryUrl, 'photos'),
      'postgres://postgres@localhost:5433/photos': databaseUrl(standbyUrl, 'photos'),
      'postgres://postgres@localhost:5434/tracking': databaseUrl(trackingUrl, 'tracking'),
      'localhost:3000': `localhost:${first}`,
      'localhost:3100': `localhost:${second}`,
      'PORT=3000': `PORT=${first}`,
      'PORT=3100': `PORT=${second}`,
      'npm install express-geo-replication': `npm install ${inject('tarball')}`,
    },
    environment: { ...withoutNpm(process.env), PATH: `${dirname(process.execPath)}:${process.env['PATH']}` },
  })
})
afterAll(async () => {
  await reader?.close()
  const { primaryUrl, trackingUrl } = inject('databaseServers')
  await dropDatabase(primaryUrl, 'photos')
  await dropDatabase(trackingUrl, 'tracking')
  await rm(folder, { recursive: true, force: true })
})

describe('A newcomer who adds the packed SDK to an app word for word', () => {
  for (const block of blocks) {
    it(`does what stands at line ${block.line}: ${block.text.split('\n')[0]}`, () => reader.follow(block))
  }

  it('has what fixtures/plain-app is: `vitest -u` writes it anew', async () => {
    const kept = await keptOf(folder)
    for (const [path, text] of kept) await expect(text).toMatchFileSnapshot(join(PLAIN_APP, path))
    const names = (await readdir(PLAIN_APP, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile() && entry.name !== 'README.md')
      .map((entry) => relative(PLAIN_APP, join(entry.parentPath, entry.name)))
    expect(names.sort()).toEqual([...kept.keys()].sort())
  })
})
