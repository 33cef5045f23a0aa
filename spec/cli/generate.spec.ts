import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import createKnex, { type Knex } from 'knex'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { localDisk } from '../../lib/blob/local-disk.ts'
import { defineReplicable } from '../../lib/blob/replicable.ts'
import { ConfigurationError } from '../../lib/errors.ts'
import { parseOptions } from '../../lib/options.ts'
import { geo as geoProcess } from '../support/cli.ts'
import { createEmptyDatabase } from '../support/empty-database.ts'
import { type HostFolder, hostFolder } from '../support/host-folder.ts'
import { type CommandScreen, commandWith } from '../support/in-process-cli.ts'

const TABLES = `create schema app;
  create type app.kind as enum ('big', 'small');
  create table widgets (id bigserial primary key, name text not null, file_path text);
  create table app.people (person_id uuid primary key default gen_random_uuid(), portrait text not null, code varchar(8) not null,
    age int not null, kind app.kind not null, widget bigint not null references widgets, seen timestamptz default now());
  create table letters (id bigserial primary key, subject text, body text);
  create table old_ones (id text primary key, file_path text);
  create table shorts (id serial primary key, file_path text);
  create table pairs (one bigint, other bigint, file_path text, primary key (one, other))`

const store = localDisk({ root: 'unused' })
const letters = defineReplicable<{ body: string | null }>({
  name: 'letter',
  table: 'letters',
  verificationState: 'separate',
  store,
  blob: (row) => row.body,
  available: (query) => query.whereNotNull('subject'),
})
const clips = defineReplicable<{ made: Date }>({
  name: 'sound_clip',
  table: 'app.clips',
  keyColumn: 'uid',
  keyType: 'uuid',
  stateTable: 'app.clip_states',
  verificationState: 'separate',
  store,
  blob: (row) => row.made.toISOString(),
})

let database: Awaited<ReturnType<typeof createEmptyDatabase>>
let db: Knex
const hosts: HostFolder[] = []

beforeAll(async () => {
  database = await createEmptyDatabase()
  db = createKnex({ client: 'pg', connection: database.url })
  await db.raw(TABLES)
})
afterEach(async () => {
  for (const host of hosts.splice(0)) await host.remove()
})
afterAll(async () => {
  await db.destroy()
  await database.drop()
})

async function host(files: Record<string, string> = {}): Promise<HostFolder> {
  const made = await hostFolder({ 'package.json': '{"type":"module"}', ...files })
  hosts.push(made)
  return made
}

/** The command in the folder of a host. Its config leads to the database, or to none. */
function geoIn(
  { path }: HostFolder,
  { asksDatabase = true, ...screen }: CommandScreen & { asksDatabase?: boolean } = {},
) {
  return commandWith(
    async () => {
      if (!asksDatabase) throw new ConfigurationError('CONFIG_NOT_FOUND', 'There is no geo.config.ts here')
      const replicables = [letters, clips]
      const settings = parseOptions({ siteName: 'tokyo', mainDb: db, replicables, encryptionKey: 'ab'.repeat(32) })
      return { settings, close: async () => undefined }
    },
    { folder: path, ...screen },
  )
}

async function prepared(files: Record<string, string> = {}): Promise<HostFolder> {
  const made = await host(files)
  expect(await geoIn(made)('generate', 'site-config')).toMatchObject({ status: 0 })
  return made
}

const WIDGET = ['generate', 'type', 'Widget', '--table', 'widgets', '--verification', 'separate']
const NEW_FOR_WIDGET = [
  'geo/flags/geo_widget_replication.json',
  'geo/widget.js',
  'migrations/main/create_widget_states.js',
  'migrations/tracking/create_widget_registry.js',
  'test/geo/widget-factory.js',
  'test/geo/widget.test.js',
]

describe('generate type', () => {
  it('looks up what it can, adds the type to the list, and has nothing to do a second time', async () => {
    const made = await prepared()
    const before = Object.keys(await made.texts())
    const ended = await geoIn(made)(...WIDGET, '--yes', '--json')
    expect(ended).toMatchObject({ status: 0, stderr: '' })
    expect(JSON.parse(ended.stdout).written).toHaveLength(7)
    const after = await made.texts()
    expect(Object.keys(after).filter((name) => !before.includes(name))).toEqual(NEW_FOR_WIDGET)
    expect(after['geo/replicables.js']).toContain("import { widgets } from './widget.js'")
    expect(after['geo/replicables.js']).toContain('replicables = [widgets]')
    expect(after['geo/widget.js']).toContain('blob: (row) => row.file_path,')

    const again = await geoIn(made)(...WIDGET, '--yes')
    expect(again).toMatchObject({ status: 0, stdout: expect.stringContaining('\nNothing to do\n') })
    expect(await made.texts()).toEqual(after)
  })

  it('takes the key that increments() of Knex makes as a bigint', async () => {
    const made = await prepared()
    expect(await geoIn(made)('generate', 'type', 'Short', '--table', 'shorts', '--yes')).toMatchObject({ status: 0 })
    expect(await made.read('geo/short.js')).not.toContain('keyType')
    const wrong = await geoIn(made)('generate', 'type', 'Short', '--table', 'shorts', '--key-type', 'uuid', '--yes')
    expect(wrong.stderr).toContain('--key-type is uuid, but id is of the type integer')
  })

  it('shows the diff and writes nothing with --dry-run', async () => {
    const made = await prepared()
    const before = await made.texts()
    const ended = await geoIn(made)(...WIDGET, '--yes', '--dry-run')
    expect(ended).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('+++ b/geo/widget.js\n@@ -0,0 +1,11 @@\n+'),
    })
    expect(ended.stdout).toContain('-export const replicables = []\n+export const replicables = [widgets]\n')
    expect(ended.stdout).toMatch(/\nNothing is written\n$/)
    expect(await made.texts()).toEqual(before)
  })

  it('never overwrites: what differs is left as it is, and shown', async () => {
    const made = await prepared({
      'geo/widget.js': '// mine\n',
      'migrations/main/20300101000000_create_widget_states.js': '//\n',
    })
    const ended = await geoIn(made)(...WIDGET, '--yes')
    expect(ended).toMatchObject({ status: 1, stdout: expect.stringContaining('-// mine\n') })
    expect(ended.stdout).toContain('geo/widget.js is left as it is')
    expect(await made.read('geo/widget.js')).toBe('// mine\n')
    expect(await readdir(join(made.path, 'migrations/main'))).toEqual(['20300101000000_create_widget_states.js'])
    expect(await made.read('geo/replicables.js')).toContain('[widgets]')
  })

  it('gives migrations timestamps after the newest that is there', async () => {
    const made = await prepared({ 'migrations/tracking/20991231235959_last.js': '//\n' })
    await geoIn(made)(...WIDGET, '--yes')
    const [, added] = await readdir(join(made.path, 'migrations/tracking'))
    expect(added).toBe('21000101000000_create_widget_registry.js')
  })

  it('says what to add by hand where the list is no longer as it was written', async () => {
    const own = 'export const replicables = process.env.ALL ? everything() : []\n'
    const made = await prepared({ 'geo/replicables.js': own })
    const ended = await geoIn(made)(...WIDGET, '--yes')
    const lines = "Add to geo/replicables.js by hand:\n  import { widgets } from './widget.js'\n  widgets,\n"
    expect(ended).toMatchObject({ status: 1, stdout: expect.stringContaining(lines) })
    expect(await made.read('geo/replicables.js')).toBe(own)
    expect(await made.read('geo/widget.js')).toContain('widgets')
  })

  it('adds to the list in the hand of the host', async () => {
    const own =
      'import { b } from "./b.js";\nimport { z } from "./z.js";\n\nexport const replicables = [\n  b,\n  z,\n];\n'
    const made = await prepared({ 'geo/replicables.js': own })
    expect(await geoIn(made)(...WIDGET, '--yes')).toMatchObject({ status: 0 })
    const after = await made.read('geo/replicables.js')
    expect(after).toContain('from "./b.js";\nimport { widgets } from "./widget.js";\nimport { z } from')
    expect(after).toContain('replicables = [\n  b,\n  z,\n  widgets,\n];\n')
  })

  it('knows an irregular plural by the table, a schema, a uuid key and what the table insists on', async () => {
    const made = await prepared()
    const person = ['generate', 'type', 'Person', '--table', 'app.people', '--verification', 'columns']
    const ended = await geoIn(made)(...person, '--blob-column', 'portrait')
    expect(ended).toMatchObject({ status: 0, stderr: '' })
    const files = await made.texts()
    expect(files['geo/person.js']).toContain(
      "name: 'person',\n  plural: 'people',\n  table: 'app.people',\n  keyColumn: 'person_id',\n  keyType: 'uuid',\n",
    )
    // The column cannot be null.
    expect(files['geo/person.js']).toContain(
      "row.portrait || null,\n  available: (query) => query.whereNot('portrait', '')",
    )
    expect(files['migrations/main/add_verification_to_app_people.js']).toContain("{ table: 'app.people' }")
    expect(files['migrations/tracking/create_person_registry.js']).toContain("{ keyType: 'uuid' }")
    expect(files['test/geo/person-factory.js']).toContain(
      `      portrait: blobKey ?? '',
      code: randomUUID().slice(0, 8),
      age: 1,
      kind: 'big',
      widget: null, // the key of a row of widgets
    })
    .returning('person_id')`,
    )
  })

  it.each([
    ['its own words', 'letter', 'letters', undefined],
    ['a table called otherwise', 'letter', 'mail_parts', undefined],
    ['a table with another word of the same initial', 'photo', 'pictures', undefined],
    ['a singular table', 'letter', 'letter', undefined],
    ['a word that changes', 'mouse', 'mice', 'mice'],
    ['a word whose end changes', 'index', 'app.indices', 'indices'],
    ['a longer name', 'sales_person', 'sales_people', 'sales_people'],
    ['what is said', 'letter', 'letters', 'mail'],
  ])('writes a plural only where English is irregular: %s', async (_, name, table, plural) => {
    const made = await prepared()
    const said = plural === 'mail' ? ['--plural', 'mail'] : []
    const options = ['--table', table, '--blob-column', 'body', '--key-column', 'id', '--key-type', 'bigint', ...said]
    expect(await geoIn(made, { asksDatabase: false })('generate', 'type', name, ...options, '--yes')).toMatchObject({
      status: 0,
    })
    const text = await made.read(`geo/${name.replace('_', '-')}.js`)
    expect(/plural: '(\w+)'/.exec(text)?.[1]).toBe(plural)
  })

  it('names the options that are missing where nobody can be asked', async () => {
    const made = await prepared()
    const ended = await geoIn(made, { asksDatabase: false })('generate', 'type', 'Widget')
    expect(ended).toMatchObject({ status: 2, stdout: '' })
    expect(ended.stderr).toContain(
      'Missing: --table (--yes takes widgets), --verification (--yes takes separate), --key-column (--yes takes id), ' +
        '--key-type (--yes takes bigint), --blob-column\nOPTIONS_MISSING',
    )
    const known = await geoIn(made)('generate', 'type', 'Letter', '--table', 'letters', '--yes')
    expect(known).toMatchObject({ status: 2, stderr: expect.stringContaining('Missing: --blob-column\n') })
  })

  it('asks a person what it does not know, with a suggestion, and before it writes', async () => {
    const made = await prepared()
    const asked: string[] = []
    const answers = (question: string): string => {
      asked.push(question)
      if (question.startsWith('Which column')) return asked.length === 3 ? 'nonsense' : 'body'
      return ''
    }
    const ended = await geoIn(made, { answers, isTTY: true })('generate', 'type', 'Letter')
    expect(ended).toMatchObject({ status: 0, stdout: expect.stringContaining('\u001b[32m+') })
    expect(asked).toEqual([
      'Which table holds the rows of letter? [letters]: ',
      expect.stringMatching(/checksums.*\(separate, columns\) \[separate\]: $/),
      "Which column holds the key of the row's file? (subject, body): ",
      "Which column holds the key of the row's file? (subject, body): ",
      'Write these 7 files? [Y/n] ',
    ])
    expect(await made.read('geo/letter.js')).toContain('row.body')
    expect(ended.stdout).toContain('geo.replicator(letters).created(row, trx)')
    const refused = await geoIn(made, { answers: () => 'n' })(...WIDGET, '--blob-column', 'file_path')
    expect(refused).toMatchObject({ status: 1, stdout: expect.stringMatching(/\nNothing is written\n$/) })
    expect(Object.keys(await made.texts())).not.toContain('geo/widget.js')
  })

  it.each([
    ['a key that is neither an integer nor uuid', ['OldOne', '--table', 'old_ones', '--yes'], 'KEY_TYPE_UNSUPPORTED'],
    ['a key of two columns', ['Pair', '--table', 'pairs', '--yes'], 'Missing: --key-column\n'],
    ['a column that is not there', [...WIDGET.slice(2), '--blob-column', 'nope'], 'it can be name, file_path'],
    ['another type than the database has', [...WIDGET.slice(2), '--key-type', 'uuid', '--yes'], 'of the type bigint'],
    ['a name that cannot be', ['9lives', '--yes'], 'must be in lower snake case'],
    ['a name of its own modules', ['Store', '--yes'], "the SDK's own module"],
    ['a table that is none', ['Widget', '--table', 'a b', '--yes'], '"a b" is no name'],
    ['a style that is none', ['Widget', '--module', 'amd'], 'Allowed choices are typescript, esm, commonjs'],
  ])('refuses %s', async (_, args, said) => {
    const made = await prepared()
    const before = await made.texts()
    const ended = await geoIn(made)('generate', 'type', ...args)
    expect(ended).toMatchObject({ status: 2, stdout: '', stderr: expect.stringContaining(said) })
    expect(await made.texts()).toEqual(before)
  })

  it('sends a host that has nothing yet to site-config', async () => {
    const ended = await geoIn(await host())(...WIDGET)
    expect(ended).toMatchObject({ status: 2, stderr: expect.stringContaining('HOST_NOT_PREPARED') })
  })
})

describe('generate triggers', () => {
  const FILE = 'migrations/main/create_letter_event_triggers.js'

  it('writes one migration with the columns that the declaration reads, once', async () => {
    const made = await host()
    expect(await geoIn(made)('generate', 'triggers', 'Letter')).toMatchObject({ status: 0, stderr: '' })
    const after = await made.texts()
    expect(after[FILE]).toContain(`
  await createEventTriggers(knex, 'letter', {
    table: 'letters',
    columns: ['body', 'subject'],
    blobColumn: 'body',
    verificationState: 'separate',
  })
`)
    expect(after[FILE]).toContain("await dropEventTriggers(knex, 'letter', { table: 'letters' })")
    const again = await geoIn(made)('generate', 'triggers', 'letter')
    expect(again).toMatchObject({ status: 0, stdout: expect.stringContaining('\nNothing to do\n') })
    const other = await geoIn(made)('generate', 'triggers', 'letter', '--columns', 'body')
    expect(other).toMatchObject({ status: 1, stdout: expect.stringContaining("-    columns: ['body', 'subject'],\n") })
    expect(await made.texts()).toEqual(after)
  })

  it('has to be told the columns of a declaration that it cannot run', async () => {
    const made = await host()
    const untold = await geoIn(made)('generate', 'triggers', 'SoundClip')
    expect(untold).toMatchObject({ status: 2, stderr: expect.stringContaining('Missing: --columns\nOPTIONS_MISSING') })
    expect(await geoIn(made)('generate', 'triggers', 'SoundClip', '--columns', 'made, uid')).toMatchObject({
      status: 0,
    })
    const text = (await made.texts())['migrations/main/create_sound_clip_event_triggers.js']
    expect(text).toContain(`{
    table: 'app.clips',
    keyColumn: 'uid',
    columns: ['made', 'uid'],
    verificationState: 'separate',
    stateTable: 'app.clip_states',
  }`)
  })

  it.each([
    ['a type that the config does not declare', ['Nothing'], 'declared: letter, sound_clip'],
    ['columns that cannot be', ['Letter', '--columns', 'a,b c'], '"b c" is no name'],
  ])('refuses %s', async (_, args, said) => {
    const ended = await geoIn(await host())('generate', 'triggers', ...args)
    expect(ended).toMatchObject({ status: 2, stdout: '', stderr: expect.stringContaining(said) })
  })
})

describe('generate site-config', () => {
  it('starts a host that has nothing, and has nothing to do a second time', async () => {
    const made = await host()
    const ended = await geoIn(made)('generate', 'site-config')
    expect(ended).toMatchObject({ status: 0, stdout: expect.stringContaining('\nNext:\n1. set SITE_NAME') })
    const files = await made.texts()
    expect(Object.keys(files)).toEqual([
      'geo.config.js',
      'geo/geo.js',
      'geo/replicables.js',
      'geo/store.js',
      'knexfile.js',
      'migrations/main/.gitkeep',
      'migrations/tracking/.gitkeep',
      'package.json',
    ])
    const again = await geoIn(made)('generate', 'site-config')
    expect(again).toMatchObject({ status: 0, stdout: expect.stringContaining('\nNothing to do\n') })
    expect(await made.texts()).toEqual(files)
  })

  it('leaves a knexfile alone and says what to add, and uses its folders', async () => {
    const own = `export default { development: { client: 'pg', migrations: { directory: './db/changes' } } }\n`
    const made = await host({
      'knexfile.js': own,
      'spec/app.spec.js': '',
      'package.json': '{"type":"module","devDependencies":{"vitest":"5"}}',
    })
    const ended = await geoIn(made)('generate', 'site-config')
    expect(ended).toMatchObject({ status: 0 })
    expect(ended.stdout).toContain("directory: [migrationFolders.main, './db/changes']")
    expect(await made.read('knexfile.js')).toBe(own)
    await geoIn(made)(...WIDGET, '--yes')
    const files = await made.texts()
    expect(Object.keys(files)).toEqual(
      expect.arrayContaining([
        'db/changes/create_widget_states.js',
        'spec/geo/widget.spec.js',
        'spec/geo/widget-factory.js',
      ]),
    )
    expect(files['spec/geo/widget.spec.js']).toContain(
      'databases: { main: knexfile.development, tracking: knexfile.tracking }',
    )
    expect(files['spec/geo/widget.spec.js']).toContain("from 'vitest'")
  })

  it('says where the knexfile does not load what is written', async () => {
    const own = `export default { client: 'pg', migrations: { directory: './db', loadExtensions: ['.ts'] } }\n`
    const made = await prepared({ 'knexfile.js': own })
    const ended = await geoIn(made)(...WIDGET, '--yes')
    expect(ended).toMatchObject({ status: 0, stderr: expect.stringContaining('knexfile.js does not load .js') })
  })

  it('is a process that says what it did', async () => {
    const made = await host()
    expect(await geoProcess(made.path, 'generate', 'site-config', '--json')).toMatchObject({ status: 0, stderr: '' })
    const ended = await geoProcess(made.path, ...WIDGET, '--blob-column', 'file_path', '--yes')
    expect(ended).toMatchObject({
      status: 0,
      stderr: expect.stringContaining('Set in the environment of this site: SITE_NAME'),
    })
    expect(Object.keys(await made.texts())).toEqual(expect.arrayContaining(NEW_FOR_WIDGET))
  })
})
