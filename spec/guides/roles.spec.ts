import type { Knex } from 'knex'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Assembly } from '../../lib/assembly.ts'
import { assemble } from '../../lib/geo.ts'
import { parseOptions } from '../../lib/options.ts'
import { MAIN_TABLES } from '../../lib/start-check.ts'
import { roleMay } from '../../lib/view/check/grant-checks.ts'
import { answerTo } from '../../lib/view/check/outcome.ts'
import { followRoles, roleBlock, urlAs } from '../support/database-roles.ts'
import { connect } from '../support/databases.ts'
import { recordingLogger } from '../support/recording-logger.ts'
import { createSecondarySite, type SecondarySite } from '../support/secondary-site.ts'

/** Every spec that has databases has them as the guide says: what the roles are too few for, the journeys find out. Here is what they are too many for. */

let paris: SecondarySite
let opened: Knex[]
let tokyoMain: Knex
let parisMain: Knex
let parisTracking: Knex
let rome: Assembly

beforeAll(async () => {
  paris = await createSecondarySite()
  const { mainUrl, standbyUrl, trackingUrl } = paris.databases
  const urls = [urlAs('app_tokyo', mainUrl), urlAs('app_paris', standbyUrl), urlAs('app_paris', trackingUrl)]
  opened = (await Promise.all(urls)).map(connect)
  ;[tokyoMain, parisMain, parisTracking] = opened as [Knex, Knex, Knex]
  const { replicables, encryptionKey } = paris.assembly.settings
  const options = { siteName: 'rome', mainDb: tokyoMain, replicables, encryptionKey: encryptionKey.toString('hex') }
  rome = assemble(parseOptions({ ...options, logger: recordingLogger() }))
  await rome.sites.refresh()
})
afterAll(async () => {
  await rome?.stop()
  await Promise.all((opened ?? []).map((knex) => knex.destroy()))
  await paris?.close()
})

const DENIED = { code: '42501' }

describe('A process with the role of the guide', () => {
  it.each([
    ['changes no table', 'alter table widgets add column planted text'],
    ['makes none', 'create table planted (id int)'],
    ['makes no function', "create function planted() returns int language sql as 'select 1'"],
    ['drops none of ours', 'drop table geo_audit_events'],
    ['switches no trigger off', 'alter table widgets disable trigger all'],
    ['writes no migrations', "insert into knex_migrations_main (name) values ('planted')"],
    ['runs no program', "copy widgets to program 'true'"],
    ['makes no role', 'create role planted'],
  ])('on the primary %s', async (_, statement) => {
    await expect(tokyoMain.raw(statement)).rejects.toMatchObject(DENIED)
  })

  it('does no more with a table of the app than it is granted for the app itself', async () => {
    const { main } = paris.databases
    await main.raw('revoke all on widgets, gadgets from app_tokyo')
    try {
      await expect(tokyoMain('widgets').update({ name: 'planted' })).rejects.toMatchObject(DENIED)
      await expect(tokyoMain('gadgets').update({ name: 'planted' })).rejects.toMatchObject(DENIED)
      await expect(tokyoMain('gadgets').delete()).rejects.toMatchObject(DENIED)
      expect(await tokyoMain('gadgets').update({ verification_state: 0 })).toBe(0)
      expect(await answerTo(roleMay('main', tokyoMain, rome))).toMatchObject({ answer: 'yes' })
    } finally {
      await followRoles(await urlAs('app_owner', paris.databases.mainUrl), 'app')
    }
  })

  it('of a secondary writes no main database, also where it is none of a replica', async () => {
    const writable = connect(await urlAs('app_paris', paris.databases.mainUrl))
    try {
      await expect(writable('geo_nodes').update({ enabled: false })).rejects.toMatchObject(DENIED)
      await expect(writable('widgets').delete()).rejects.toMatchObject(DENIED)
    } finally {
      await writable.destroy()
    }
  })

  it('of a primary that was given up writes nothing any more, and reads on', async () => {
    const trx = await paris.databases.main.transaction()
    const may = async (table: string, privilege: string) => {
      const { rows } = await trx.raw('select has_table_privilege(?, ?, ?) as may', ['app_tokyo', table, privilege])
      return rows[0].may
    }
    const { rows } = await trx.raw("select tablename as name from pg_tables where schemaname = 'public'")
    const tables: string[] = rows.map(({ name }: { name: string }) => name)
    const [given = ''] = (await roleBlock('promoted')).trim().split('\n').slice(1)
    try {
      expect(await may('geo_nodes', 'update')).toBe(true)
      for (const block of [given, await roleBlock('given-up')]) await trx.raw(block)
      for (const table of tables) {
        const written = await Promise.all(['insert', 'update', 'delete'].map((privilege) => may(table, privilege)))
        expect(written, table).toEqual([false, false, false])
      }
      expect(await Promise.all(['geo_nodes', 'widgets', 'widget_states'].map((table) => may(table, 'select')))).toEqual(
        [true, true, true],
      )
      await trx.raw('set local role app_tokyo')
      expect(await answerTo(roleMay('main', trx, paris.assembly))).toMatchObject({ answer: 'yes' })
    } finally {
      await trx.rollback()
    }
  })

  it('is granted our tables, all of them, and none of the host whose name is like theirs', async () => {
    const { main, mainUrl } = paris.databases
    const ours: string[] = await main('pg_tables')
      .where('schemaname', 'public')
      .whereRaw("tablename like 'geo\\_%'")
      .orderBy('tablename')
      .pluck('tablename')
    const named = [...(await roleBlock('system')).matchAll(/'(geo_\w+)'/g)].map(([, name]) => name)
    expect(named).toEqual(ours)
    expect([...MAIN_TABLES].sort()).toEqual(ours)
    await main.raw('create table geo_locations (id bigserial primary key)')
    try {
      await main.raw('alter table geo_locations owner to app_owner')
      await followRoles(await urlAs('app_owner', mainUrl), 'system')
      const { rows } = await main.raw(`select has_table_privilege('geo_primary', 'geo_locations', 'select') as table,
        has_sequence_privilege('geo_primary', 'geo_locations_id_seq', 'usage') as sequence,
        has_sequence_privilege('geo_primary', 'geo_events_id_seq', 'usage') as ours`)
      expect(rows).toEqual([{ table: false, sequence: false, ours: true }])
    } finally {
      await main.raw('drop table geo_locations')
    }
  })

  it('changes no table of a tracking database', async () => {
    await expect(parisTracking.raw('drop table widget_registry')).rejects.toMatchObject(DENIED)
    await expect(parisTracking.raw('create table planted (id int)')).rejects.toMatchObject(DENIED)
  })
})

describe('geo check says', () => {
  it('yes where all is granted, on either site', async () => {
    for (const [which, db, site] of [
      ['main', tokyoMain, rome],
      ['main', parisMain, paris.assembly],
      ['tracking', parisTracking, paris.assembly],
    ] as const) {
      expect(await answerTo(roleMay(which, db, site))).toMatchObject({ answer: 'yes' })
    }
  })

  it('that the role of a secondary lacks what a primary needs, until it is granted for a promotion', async () => {
    const trx = await paris.databases.main.transaction()
    try {
      await trx.raw('set local role app_paris')
      expect(await answerTo(roleMay('main', trx, rome))).toMatchObject({ answer: 'no' })
      // Roles are those of the whole server: nobody else is to see it.
      await trx.raw('reset role')
      await trx.raw((await roleBlock('promoted')).replace('select pg_promote();', ''))
      await trx.raw('set local role app_paris')
      expect(await answerTo(roleMay('main', trx, rome))).toMatchObject({ answer: 'yes' })
    } finally {
      await trx.rollback()
    }
  })

  it.each([
    ['widgets', 'select', 'grant select on widgets to app_tokyo'],
    ['widget_states', 'update', 'grant update on widget_states to app_tokyo'],
    ['geo_events', 'insert', 'grant insert on geo_events to app_tokyo'],
    [
      'gadgets',
      'update',
      'grant update (verification_state, verification_started_at, verification_retry_at, verified_at, verification_retry_count, verification_checksum, verification_failure) on gadgets to app_tokyo',
    ],
  ])('which grant is missing: on %s to %s', async (table, privilege, statement) => {
    const { main } = paris.databases
    await main.raw(`revoke ${privilege} on ${table} from geo_primary, app_tokyo`)
    try {
      expect(await answerTo(roleMay('main', tokyoMain, rome))).toMatchObject({
        answer: 'no',
        reason: `It lacks: ${statement}`,
      })
      await main.raw(statement)
      expect(await answerTo(roleMay('main', tokyoMain, rome))).toMatchObject({ answer: 'yes' })
    } finally {
      const owner = await urlAs('app_owner', paris.databases.mainUrl)
      await followRoles(owner, 'system', 'separate', 'columns', 'app')
    }
  })
})
