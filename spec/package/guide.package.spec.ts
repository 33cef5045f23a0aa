import { access, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { findPorts } from '../../fixtures/demo/ports.ts'
import { createDatabase, databaseUrl, dropDatabase } from '../../lib/testing/postgres/database-server.ts'
import { ROOT } from '../support/entries.ts'
import { type GuideBlock, readGuide } from '../support/guide.ts'
import { GuideRun } from '../support/guide-run.ts'
import { keptOf } from '../support/reader-folder.ts'
import { stepByStep } from '../support/step-by-step.ts'

const PLAIN_APP = join(ROOT, 'fixtures/plain-app')
const blocks = await readGuide('add-to-an-existing-app.md')
const typedIn = async (guide: string) => (await readGuide(guide)).filter(({ language }) => language === 'sh')
const addAType = await typedIn('add-a-type.md')
const upgrade = await typedIn('upgrade.md')

/** The table of the further type, which a reader has already. */
const VIDEOS = `exports.up = (knex) =>
  knex.schema.createTable('videos', (table) => {
    table.bigIncrements('id')
    table.text('file_path')
    table.text('owner').notNullable()
  })

exports.down = (knex) => knex.schema.dropTable('videos')
`

/** What `npm run` and vitest add to the environment is no reader's. */
function withoutNpm(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const own = /^(npm_(lifecycle|package|command|execpath|node_execpath|config_local_prefix)|INIT_CWD$|VITEST|NODE_ENV$)/
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !own.test(name)))
}

let folder: string
let reader: GuideRun

/** What a reader does between what the guides say. */
const own = (language: string, text: string, subject: string | null = null) =>
  reader.follow({ language, subject, text, line: 0 })
const elsewhere = (block: GuideBlock | undefined, change: Partial<GuideBlock>): Promise<void> => {
  if (!block) throw new Error('The guide has no such block')
  return reader.follow({ ...block, ...change })
}
async function edit(file: string, from: string, to: string): Promise<void> {
  const text = await readFile(join(folder, file), 'utf8')
  expect(text.split(from)).toHaveLength(2)
  await writeFile(join(folder, file), text.replace(from, to))
}

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
      'check type widget': 'check type photo',
      'localhost:3000': `localhost:${first}`,
      'localhost:3100': `localhost:${second}`,
      'PORT=3000': `PORT=${first}`,
      'PORT=3100': `PORT=${second}`,
      'express-geo-replication@latest': inject('tarball'),
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

stepByStep()

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

describe('The same newcomer, who goes on with the other guides in that app,', () => {
  const [generate, triggers, ready, ...more] = addAType

  it('adds a type', async () => {
    await own('js', VIDEOS, 'migrations/20260103000000_create_videos.js')
    await own('sh', 'npx knex migrate:latest')
    await elsewhere(generate, {})
    await own('text', '+++ b/geo/video.js\n…\nNothing is written')
    await expect(access(join(folder, 'geo/video.js'))).rejects.toThrow('ENOENT')
    await elsewhere(generate, { text: generate?.text.replace(' --dry-run', '') ?? '' })
    await own('sh', 'npx knex migrate:latest')
    await own('sh', 'npx knex migrate:latest --env tracking', 'paris')
    // Without a server of Unleash.
    await edit('geo/video.js', '  store,\n', "  store,\n  released: '2.4.0',\n")
  })

  it('is shown the migration of the triggers as the guide has it', async () => {
    await elsewhere(triggers, {})
    const shown = (await readGuide('add-a-type.md')).find(({ text }) => text.includes('createEventTriggers(knex'))
    const calls = shown?.text.match(/^ {2}await .*(\{ table: 'videos' \}\)|\{\n( {4}.*\n)+ {2}\}\))$/gm)
    expect(calls).toHaveLength(2)
    for (const call of calls ?? []) await own('text', call)
  })

  it('serves and works apart', async () => {
    const [start, work, ...others] = (await typedIn('several-processes.md')).flatMap(({ text }) =>
      text.includes('geo work') ? text.trim().split('\n') : [],
    )
    expect([start, work, others]).toEqual(['WORK=false npm start &', 'npx geo work', []])
    await edit('geo/geo.js', 'createGeo(options)', "createGeo({ ...options, work: process.env['WORK'] !== 'false' })")
    const stop = 'kill $!; wait $!'
    await own('sh', `${stop}\nexport PORT=3000\n${start}`)
    await own('sh', `${stop}\nPORT=3100 node server.js > paris.log 2>&1 &`, 'paris')
    const uploaded = 'curl -s --retry 9 --retry-connrefused -F file=@birthday.txt http://localhost:3000/photos'
    await own('sh', `${uploaded}\nnpx geo explain photo 3`)
    await own('text', '{"id":"3"\n…\nVerification: pending')
    await own('sh', `${work} > work.log 2>&1 &`)
    await own('sh', 'npx geo wait\nnpx geo explain photo 3', 'paris')
    await own('text', 'All is replicated and verified\n…\nThe copy here is verified')
  })

  it('asks whether the type is ready, on the primary and on each secondary', async () => {
    expect(more).toEqual([])
    for (const subject of [null, 'paris']) {
      await elsewhere(ready, { subject })
      await own('text', 'Checking video ...\n…\nFinished')
    }
  })

  it('upgrades, from a version whose tables were fewer', async () => {
    const older = async (migration: string, database: 'main' | 'tracking', subject: string | null) => {
      await own(
        'sh',
        `npx knex migrate:down ${migration}.js --env ${database}\nif npx geo check; then false; fi`,
        subject,
      )
      await own('text', `Migrations of the ${database} database are current ... no`)
    }
    await older('20261126000200_add_by_trigger_to_geo_events', 'main', null)
    await older('20261124000921_create_geo_status_samples', 'tracking', 'paris')
    for (const block of upgrade) {
      await reader.follow(block)
      // What is asked is asked of each site.
      if (block.text.includes('geo check')) await elsewhere(block, { subject: 'paris' })
    }
  })
})
