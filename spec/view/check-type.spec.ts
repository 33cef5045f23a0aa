import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { featuresFromFile, type HostFeatures, writeFeatures } from '../../fixtures/widget-app/features.ts'
import type { Assembly } from '../../lib/assembly.ts'
import type { Replicable } from '../../lib/blob/replicable.ts'
import { FeatureGate, type FeaturesLike } from '../../lib/feature.ts'
import { assemble } from '../../lib/geo.ts'
import { addDrift } from '../../lib/registry/drift.ts'
import type { Checked } from '../../lib/view/check/outcome.ts'
import { checkType } from '../../lib/view/check/type/check-type.ts'
import type { TypeCheckSources } from '../../lib/view/check/type/sources.ts'
import { geoGraphql } from '../../lib/view/graphql/index.ts'
import { untyped } from '../support/fixture-rows.ts'
import { commandOf } from '../support/in-process-cli.ts'
import { type ServedSites, serveSites } from '../support/served-sites.ts'

const FLAG = 'geo_widget_replication'

let sites: ServedSites
let rome: Assembly
let paris: Assembly
let folder: string
let flags: HostFeatures
const registry = new Registry()

beforeAll(async () => {
  sites = await serveSites()
  folder = await mkdtemp(join(tmpdir(), 'geo-check-type-'))
  await writeFeatures(join(folder, 'flags.json'), { [FLAG]: true, geo_gadget_replication: true })
  flags = await featuresFromFile(join(folder, 'flags.json'))
  const served = { features: flags, metrics: { registry }, graphql: geoGraphql() }
  rome = assemble({ ...sites.primary.settings, ...served })
  paris = assemble({ ...sites.site.assembly.settings, features: flags, metrics: {}, graphql: geoGraphql() })
  await sites.addWidget('first', 'bytes of the first')
  await sites.settle()
  await Promise.all([rome.sites.refresh(), paris.sites.refresh()])
  for (const site of [rome, paris]) await site.viewing.gathering.gather()
})
afterAll(async () => {
  flags?.close()
  await Promise.all([rome?.stop(), paris?.stop()])
  await sites?.close()
  await rm(folder, { recursive: true, force: true })
})

async function all(sources: TypeCheckSources, type = 'widget'): Promise<Checked[]> {
  await sites.site.databases.caughtUp()
  const results: Checked[] = []
  for await (const checked of checkType(sources, type)) results.push(checked)
  return results
}

/** The one answer to a question whose name contains the text. */
async function about(text: string, sources: TypeCheckSources = rome, type = 'widget'): Promise<Checked | undefined> {
  return (await all(sources, type)).find(({ name }) => name.includes(text))
}

/** The site with other features. */
const withFeatures = (site: Assembly, features: FeaturesLike | null): TypeCheckSources => ({
  ...site,
  settings: { ...site.settings, features },
  gate: new FeatureGate(features, site.sites),
})

/** The site with other declarations of widgets. */
const declaring = (site: Assembly, change: Partial<Replicable>): TypeCheckSources => ({
  ...site,
  byName: new Map([['widget', { ...untyped(site.byName.get('widget') as Replicable), ...change }]]),
})

const no = (reason: unknown, advice: unknown = expect.anything()) => ({
  answer: 'no',
  reason,
  advice: expect.arrayContaining([advice]),
})
const saying = (text: string) => expect.stringContaining(text)

const withoutTimes = (text: string) => text.replaceAll(/ at \d{4}-\d\d-\d\dT[\d:.]+Z/g, ' at TIME')

const PRIMARY = `Checking widget ...

The main database answers ... yes
This machine's site name matches a database record ... yes, found a primary site named "rome"
The tables of widget are in the main database ... yes, widgets, widget_states
The column id of widgets is a bigint ... yes
The verification columns of widget_states are as they should be ... yes, 7 of 7
The indexes of widget_states are there and valid ... yes, 4 of 4
The length of failures in widget_states is limited ... yes, widget_verification_failure_text_limit
The states of widget_states go with the rows of widgets ... yes, widget_states_widget_id_fkey
Every row with a file has a state in widget_states ... yes, none is missing among the first and the last 5000 rows
The flag geo_widget_replication is known ... skipped
  Reason: \`features\` cannot be asked what they know: they have no getFeatureToggleDefinition
The flag geo_widget_replication is on at rome ... yes, the primary counts as on where any site is
The flag geo_widget_replication is on at paris ... yes
The status of this site has the fields of widgets ... yes, gathered at TIME
The documents of the API have the fields of widgets ... yes, 12 fields
The metrics have the gauges of widgets ... skipped
  Reason: There is no option \`metrics\`
GraphQL has the field widgetRegistries ... skipped
  Reason: There is no option \`graphql\`
The host tells of new files of widgets ... skipped
  Reason: No row has been written since the flag came on
The host tells of rows of widgets that go ... yes
Triggers tell of what others write to widgets ... skipped
  Reason: There are none: only what the host tells of is told
Files of widgets can be read ... yes, 1 of 1 that were drawn
The verification of widgets runs ... yes, nothing waits, the last at TIME

Checking widget ... Finished
`

const SECONDARY = `Checking widget ...

The main database answers ... yes
This machine's site name matches a database record ... yes, found a secondary site named "paris"
The tables of widget are in the main database ... yes, widgets, widget_states
The column id of widgets is a bigint ... yes
The tracking database answers ... yes
The tables of widget are in the tracking database ... yes, widget_registry
The column widget_id of widget_registry is a bigint ... yes
The columns of widget_registry are as they should be ... yes, 27 of 27
The indexes of widget_registry are there and valid ... yes, 14 of 14
The flag geo_widget_replication is known ... skipped
  Reason: \`features\` cannot be asked what they know: they have no getFeatureToggleDefinition
The flag geo_widget_replication is on at rome ... yes, the primary counts as on where any site is
The flag geo_widget_replication is on at paris ... yes
The status of this site has the fields of widgets ... yes, gathered at TIME
The documents of the API have the fields of widgets ... yes, 12 fields
The metrics have the gauges of widgets ... skipped
  Reason: There is no option \`metrics\`
GraphQL has the field widgetRegistries ... skipped
  Reason: There is no option \`graphql\`
Database replication enabled? ... yes, a physical standby
Nothing of widgets was found that no event told of ... yes
Copies of widgets can be read ... yes, 1 of 1 that were drawn
The verification of widgets runs ... yes, nothing waits, the last at TIME

Checking widget ... Finished
`

describe('geo check type', () => {
  it('on a primary that is well', async () => {
    const { status, stdout, stderr } = await commandOf(sites.primary.settings)('check', 'type', 'widget')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(withoutTimes(stdout)).toBe(PRIMARY)
    expect((await all(rome)).filter(({ answer }) => answer === 'no')).toEqual([])
    expect((await all(rome, 'gadget')).filter(({ answer }) => answer === 'no')).toEqual([])
  })

  it('on a secondary that is well', async () => {
    const { status, stdout, stderr } = await commandOf(sites.site.assembly.settings)('check', 'type', 'widget')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(withoutTimes(stdout)).toBe(SECONDARY)
    expect((await all(paris)).filter(({ answer }) => answer === 'no')).toEqual([])
    expect((await all(paris, 'gadget')).filter(({ answer }) => answer === 'no')).toEqual([])
  })

  it('as JSON says the same, and a no ends with 1', async () => {
    const { tracking } = sites.site.databases
    await addDrift(tracking, 'widget', 'registry_without_row', 3)
    const { status, stdout } = await commandOf(sites.site.assembly.settings)('check', 'type', 'widget', '--json')
    expect(status).toBe(1)
    expect(JSON.parse(stdout).filter(({ answer }: Checked) => answer === 'no')).toMatchObject([
      {
        name: 'Nothing of widgets was found that no event told of',
        code: 'DRIFT_MENDED',
        reason: saying('registry_without_row: 3'),
        advice: ['Look on the primary for deletes that call no `deleted`.', saying('mended')],
      },
    ])
    await tracking('geo_drift_counts').update({ last_found_at: tracking.raw("now() - interval '8 days'") })
    expect(await about('no event told of', paris)).toMatchObject({ answer: 'yes', detail: saying('the last time at') })
  })

  it('of a type that is not declared ends with 2', async () => {
    expect(await commandOf(sites.primary.settings)('check', 'type', 'gizmo')).toMatchObject({
      status: 2,
      stderr: saying('No type is named "gizmo"; declared: widget, gadget'),
    })
  })
})

describe('The tables of the primary', () => {
  const sql = (statement: string) => sites.site.databases.main.raw(statement)

  it('an index that is missing, and one that is half-built', async () => {
    const missing = 'index_widget_states_pending_verification'
    await sql(`drop index ${missing}`)
    const found = await about('indexes')
    expect(found).toMatchObject(
      no(`missing: ${missing}`, saying(`create index concurrently ${missing} on widget_states`)),
    )
    await sql((found?.answer === 'no' && found.advice[0]) || '')
    expect(await about('indexes')).toMatchObject({ answer: 'yes', detail: '4 of 4' })

    await sql(`update pg_index set indisvalid = false where indexrelid = '${missing}'::regclass`)
    const invalid = await about('indexes')
    expect(invalid).toMatchObject({
      answer: 'no',
      reason: `invalid: ${missing}`,
      advice: [`reindex index concurrently ${missing};`],
    })
    await sql(`reindex index concurrently ${missing}`)
    expect(await about('indexes')).toMatchObject({ answer: 'yes' })
  })

  it('a column that is missing, and one of another type', async () => {
    await sql('alter table gadgets drop column verification_retry_at')
    expect(await about('verification columns', rome, 'gadget')).toMatchObject(
      no('verification_retry_at is missing', 'alter table gadgets add column verification_retry_at timestamptz;'),
    )
    expect(await about('indexes', rome, 'gadget')).toMatchObject(no(saying('index_gadgets_failed_verification')))
    await sql('alter table gadgets add column verification_retry_at timestamptz')
    await sql(
      'create index index_gadgets_failed_verification on gadgets (verification_retry_at asc nulls first) where verification_state = 3',
    )
    await sql('alter table widget_states alter column verification_retry_count type integer')
    expect(await about('verification columns')).toMatchObject(
      no('verification_retry_count is of the type integer, not smallint', saying('type smallint')),
    )
    await sql('alter table widget_states alter column verification_retry_count type smallint')
  })

  it('no limit of the length of failures, and one that is not validated', async () => {
    const limit = 'widget_verification_failure_text_limit'
    await sql(`alter table widget_states drop constraint ${limit}`)
    const found = await about('length of failures')
    expect(found).toMatchObject(no(`There is no constraint ${limit}`))
    const check = 'check (char_length(verification_failure) <= 255)'
    expect(found).toMatchObject({
      advice: [`On the primary: alter table widget_states add constraint ${limit} ${check};`],
    })
    await sql(`alter table widget_states add constraint ${limit} ${check} not valid`)
    expect(await about('length of failures')).toMatchObject(
      no(saying('not validated'), saying(`validate constraint ${limit}`)),
    )
    await sql(`alter table widget_states validate constraint ${limit}`)
    expect(await about('length of failures')).toMatchObject({ answer: 'yes' })
  })

  it('no foreign key, and one that keeps the states of rows that go', async () => {
    const name = 'widget_states_widget_id_fkey'
    const key = 'foreign key (widget_id) references widgets (id)'
    await sql(`alter table widget_states drop constraint ${name}`)
    expect(await about('go with the rows')).toMatchObject(
      no(saying('No foreign key'), saying(`add ${key} on delete cascade`)),
    )
    await sql(`alter table widget_states add constraint ${name} ${key}`)
    expect(await about('go with the rows')).toMatchObject(
      no(saying('does not take states with it'), saying(`drop constraint ${name}`)),
    )
    await sql(`alter table widget_states drop constraint ${name}, add constraint ${name} ${key} on delete cascade`)
    expect(await about('go with the rows')).toMatchObject({ answer: 'yes', detail: name })
  })

  it('a row without its state; with the flag off that is as it should be', async () => {
    const { main } = sites.site.databases
    const [row] = await main('widgets').insert({ name: 'stateless', file_path: 'first' }).returning('id')
    await main('widgets').insert({ name: 'without a file' })
    expect(await about('has a state')).toMatchObject(no(`1 or more have none, among them #${row.id}`, saying('`work`')))
    expect(await about('has a state', withFeatures(rome, null))).toMatchObject({ answer: 'skipped' })
    await main('widgets').whereIn('name', ['stateless', 'without a file']).delete()
  })

  it('a key of another type than the declaration says, or of another name', async () => {
    expect(await about('The column id', declaring(rome, { keyType: 'uuid' }))).toMatchObject(
      no('It is of the type bigint, and the declaration says uuid', saying('keyType')),
    )
    expect(await about('The column ident', declaring(rome, { keyColumn: 'ident' }))).toMatchObject(
      no('widgets has no column ident', saying('keyColumn')),
    )
  })

  it('but not a narrower integer of the host', async () => {
    const { main } = sites.site.databases
    await main.raw('alter table widgets alter id type integer')
    expect(await about('The column id of widgets')).toMatchObject({ answer: 'yes', detail: 'integer' })
    expect(await about('The column id', declaring(rome, { keyType: 'uuid' }))).toMatchObject({ answer: 'no' })
    await main.raw('alter table widgets alter id type bigint')
  })

  it('no table at all', async () => {
    expect(await about('tables', declaring(rome, { table: 'app.gizmos' }))).toMatchObject({
      ...no(
        'There is no table app.gizmos',
        saying("createVerificationStateTable(knex, 'widget', { table: 'app.gizmos'"),
      ),
      code: 'UNKNOWN_TABLE',
    })
  })
})

describe('The registry of a secondary', () => {
  it('an index, a column or the uniqueness that is missing', async () => {
    const { tracking } = sites.site.databases
    await tracking.raw('drop index index_widget_registry_on_widget_id, widget_registry_blob_key')
    await tracking.raw('create index index_widget_registry_on_widget_id on widget_registry (widget_id)')
    await tracking.raw('alter table widget_registry drop column traceparent')
    expect(await about('indexes of widget_registry', paris)).toMatchObject(
      no(
        'missing: widget_registry_blob_key; not unique: index_widget_registry_on_widget_id',
        saying('using hash (blob_key)'),
      ),
    )
    expect(await about('columns of widget_registry', paris)).toMatchObject(
      no('traceparent is missing', 'alter table widget_registry add column traceparent text;'),
    )
    await tracking.raw('alter table widget_registry add column traceparent text')
    await tracking.raw('drop index index_widget_registry_on_widget_id')
    await tracking.raw('create unique index index_widget_registry_on_widget_id on widget_registry (widget_id)')
    await tracking.raw('create index widget_registry_blob_key on widget_registry using hash (blob_key)')
    expect(await about('indexes of widget_registry', paris)).toMatchObject({ answer: 'yes', detail: '14 of 14' })
  })

  it('a main database that is no physical replica', async () => {
    const { main } = sites.site.databases
    expect(await about('replication enabled', { ...paris, databases: { ...paris.databases, main } })).toMatchObject({
      answer: 'no',
      code: 'NOT_IN_RECOVERY',
    })
  })
})

describe('The flag', () => {
  it('that nobody knows is a no while the type is not released, and right once it is', async () => {
    await writeFeatures(join(folder, 'others.json'), { geo_gadget_replication: true })
    const others = await featuresFromFile(join(folder, 'others.json'))
    expect(await about('is known', withFeatures(rome, others))).toMatchObject(
      no(saying('off everywhere'), saying(`${FLAG}.json`)),
    )
    expect(await about('is on at paris', withFeatures(rome, others))).toMatchObject({ answer: 'skipped' })
    const released = { ...declaring(rome, { released: '0.2.0' }), ...withFeatures(rome, others) }
    const sources = { ...released, byName: declaring(rome, { released: '0.2.0' }).byName }
    expect(await about('is known', sources)).toMatchObject({ answer: 'yes', detail: saying('on since 0.2.0') })
    expect(await about('is on at paris', sources)).toMatchObject({ answer: 'yes' })
    others.close()
  })

  it('is told for each site', async () => {
    const onlyParis: FeaturesLike = { isEnabled: (_, context) => context?.properties?.['siteName'] === 'paris' }
    const asked = (await all(withFeatures(rome, onlyParis))).filter(({ name }) => name.includes('is on at'))
    expect(asked.map(({ name, answer }) => `${name}: ${answer}`)).toEqual([
      `The flag ${FLAG} is on at rome: yes`,
      `The flag ${FLAG} is on at paris: yes`,
    ])
    expect(await about('is known', withFeatures(rome, onlyParis))).toMatchObject({ answer: 'skipped' })
    expect(await about('is known', withFeatures(rome, null))).toMatchObject({ answer: 'skipped' })
  })
})

describe('What is served', () => {
  it('a status that a process without the declaration has gathered', async () => {
    const { main } = sites.site.databases
    const rows = await main('geo_node_statuses').select('geo_node_id', 'status')
    const without = (status: object) =>
      Object.fromEntries(Object.entries(status).filter(([field]) => !field.startsWith('widgets_')))
    for (const { geo_node_id, status } of rows) {
      await main('geo_node_statuses')
        .where({ geo_node_id })
        .update({ status: JSON.stringify(without(status)) })
    }
    expect(await about('status of this site')).toMatchObject(no(saying('has none of them'), saying('anew')))
    await rome.viewing.gathering.gather()
    expect(await about('status of this site')).toMatchObject({ answer: 'yes' })
  })

  it('documents, metrics and a GraphQL schema without the type', async () => {
    const [gadgets] = rome.settings.replicables.slice(1)
    const others = { ...rome, settings: { ...rome.settings, replicables: gadgets ? [gadgets] : [] } }
    expect(await about('documents', others)).toMatchObject(no(saying('widgets_count'), saying('`replicables`')))
    expect(await about('GraphQL', { ...rome, viewing: { ...rome.viewing, siteFields: () => ['id'] } })).toMatchObject(
      no(saying('schema')),
    )
    expect(await about('GraphQL')).toMatchObject({ answer: 'yes' })
    registry.removeSingleMetric('geo_widgets_synced')
    expect(await about('metrics')).toMatchObject(no('missing: geo_widgets_synced'))
  })
})

describe('Files', () => {
  it('that are gone, no files, outside of the root, or that `blob` cannot name', async () => {
    const { main } = sites.site.databases
    const [row] = await main('widgets').insert({ name: 'file', file_path: 'gone' }).returning('id')
    const lead = (file_path: string) => main('widgets').where({ id: row.id }).update({ file_path })
    expect(await about('Files of')).toMatchObject({ ...no(saying(`/gone (#${row.id})`)), code: 'FILE_MISSING' })
    await mkdir(join(sites.primaryRoot, 'folder'))
    await lead('folder')
    expect(await about('Files of')).toMatchObject({ answer: 'no', code: 'NOT_A_FILE' })
    await lead('../outside')
    expect(await about('Files of')).toMatchObject({ answer: 'no', code: 'INVALID_KEY' })
    const blob = () => {
      throw new Error('no idea')
    }
    expect(await about('Files of', declaring(rome, { blob }))).toMatchObject({
      answer: 'no',
      code: 'BLOB_FUNCTION_FAILED',
      reason: saying('no idea'),
    })
    await main('widgets').where({ id: row.id }).delete()
    expect(await about('Files of')).toMatchObject({ answer: 'yes', detail: '1 of 1 that were drawn' })
  })

  it('of a secondary: a copy that is gone', async () => {
    await rm(join(sites.site.root, 'first'))
    expect(await about('Copies of', paris)).toMatchObject({ ...no(saying('/first (#')), code: 'FILE_MISSING' })
    await writeFile(join(sites.site.root, 'first'), 'bytes of the first')
    expect(await about('Copies of', paris)).toMatchObject({ answer: 'yes' })
  })
})

describe('Verification', () => {
  it('that nobody does, on either site', async () => {
    const { main, tracking } = sites.site.databases
    const old = "verified_at = now() - interval '1 hour'"
    await main.raw(`update widget_states set ${old}`)
    await tracking.raw(`update widget_registry set ${old}`)
    expect(await about('verification of widgets runs')).toMatchObject({
      answer: 'yes',
      detail: saying('nothing waits'),
    })
    const [row] = await main('widgets').insert({ name: 'waits', file_path: 'first' }).returning('id')
    await main('widget_states').insert({ widget_id: row.id })
    await tracking('widget_registry').insert({ widget_id: row.id, state: 2, created_at: new Date(), blob_key: 'first' })
    for (const site of [rome, paris]) {
      expect(await about('verification of widgets runs', site)).toMatchObject(
        no(saying('Some wait'), saying('npx geo work')),
      )
    }
    await main.raw('update widget_states set verified_at = now() where verification_state = 2')
    expect(await about('verification of widgets runs')).toMatchObject({ answer: 'yes' })
    await main('widgets').where({ id: row.id }).delete()
    await tracking('widget_registry').where({ widget_id: row.id }).delete()
  })
})
