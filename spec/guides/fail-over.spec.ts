import { readFile, stat } from 'node:fs/promises'
import type { Knex } from 'knex'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { insertSite } from '../../lib/site-table.ts'
import type { Cluster } from '../../lib/testing/postgres/cluster.ts'
import { settle } from '../../lib/testing/settle.ts'
import { Drill, type DrillSite } from '../support/drill.ts'
import { ENCRYPTION_KEY } from '../support/fixture-rows.ts'
import { readGuide } from '../support/guide.ts'
import { stepByStep } from '../support/step-by-step.ts'

const blocks = await readGuide('fail-over.md')
const textsOf = (language: string) => blocks.filter((block) => block.language === language).map(({ text }) => text)
const [received = '', promote = '', renumber = '', slot = '', follow = '', enable = ''] = textsOf('sql')
const [look, wait, check, verify, repair] = textsOf('sh').map((text) => text.trim().split('\n'))

interface Running {
  readonly server: Cluster
  readonly db: Knex
  readonly site: DrillSite
}

const [SUCCEEDED, FAILED] = [2, 3]

let drill: Drill
let tokyo: Running
let paris: Running
let osaka: Running
let kept: string
let late: string

/** A site whose database is a replica, begun with the folder of another replica. */
async function startSecondary(name: string, primary: Running, seed: string): Promise<Running> {
  const server = await drill.startReplica(name, primary.server, seed)
  const db = drill.open(server)
  await drill.caughtUp(primary.db, db)
  return { server, db, site: await drill.start(name, db, await drill.newTracking(name)) }
}

async function settleAll(primary: Running, ...secondaries: Running[]): Promise<void> {
  await settle(primary.site.parts)
  for (const { db, site } of secondaries) {
    await drill.caughtUp(primary.db, db)
    await settle(site.parts)
  }
}

async function lose({ server, db, site }: Running): Promise<void> {
  await drill.stop(site)
  await db.destroy()
  await server.stop()
}

/** What lines print on a site, and how each ends. */
async function typed(lines: readonly string[] | undefined, site: DrillSite, ...others: DrillSite[]) {
  const statuses: number[] = []
  let said = ''
  for (const line of lines ?? []) {
    const { status, stdout } = await drill.type(line, [site, ...others])
    statuses.push(status)
    said += stdout
  }
  return { statuses, said }
}

/** The statement as the guide has it, with what is different here. */
function asHere(text: string, from: string, to: string): string {
  expect(text).toContain(from)
  return text.replace(from, to)
}

const stateOf = async (db: Knex, id: string) =>
  (await db('widget_states').where({ widget_id: id }).first('verification_state')).verification_state

beforeAll(async () => {
  drill = await Drill.begin()
  const { primary, seed } = await drill.startServers()
  const db = drill.open(primary)
  for (const name of ['tokyo', 'paris', 'osaka']) {
    await insertSite(db, ENCRYPTION_KEY, { name, url: await drill.address(name), primary: name === 'tokyo' })
  }
  tokyo = { server: primary, db, site: await drill.start('tokyo', db) }
  paris = await startSecondary('paris', tokyo, seed)
  osaka = await startSecondary('osaka', tokyo, seed)
})
afterAll(() => drill.end())

stepByStep()

describe('A drill by the guide to failing over', () => {
  it('begins with three sites, of which one lacks a file when the primary is lost', async () => {
    kept = await tokyo.site.add('kept', 'is on all')
    await settleAll(tokyo, paris, osaka)
    expect((await typed(look, paris.site)).statuses).toEqual([0, 0])
    late = await tokyo.site.add('late', 'never comes to paris')
    await settleAll(tokyo, osaka)
    await drill.caughtUp(tokyo.db, paris.db)
    const [ofParis, ofOsaka] = await Promise.all([paris, osaka].map(({ db }) => db.raw(received)))
    expect(ofParis.rows).toEqual([{ pg_last_wal_receive_lsn: expect.stringMatching(/^\w+\/\w+$/) }])
    expect(ofParis.rows).toEqual(ofOsaka.rows)
  })

  it('has a secondary take the place of the primary', async () => {
    await lose(tokyo)
    await drill.stop(paris.site)
    await paris.db.raw(promote)
    await paris.db.raw(renumber)
    expect(await paris.db('geo_nodes').orderBy('id').select('name', 'primary', 'enabled')).toEqual([
      { name: 'tokyo', primary: false, enabled: false },
      { name: 'paris', primary: true, enabled: true },
      { name: 'osaka', primary: false, enabled: true },
    ])
    const forgetful = await drill.start('paris', paris.db, drill.trackingOf('paris'))
    const reminded = await typed(check, forgetful)
    expect(reminded).toEqual({ statuses: [1], said: expect.stringContaining('Remove `trackingDb` from the options') })
    await drill.stop(forgetful)
    paris = { ...paris, site: await drill.start('paris', paris.db) }
    expect((await typed(check, paris.site)).statuses).toEqual([0])
  })

  it('finds what was not here once the new primary hashes its files again', async () => {
    const recorded = await paris.db('widget_states').orderBy('widget_id').select('widget_id', 'verification_checksum')
    await settle(paris.site.parts)
    expect(await stateOf(paris.db, late)).toBe(SUCCEEDED)
    const { statuses, said } = await typed(verify, paris.site)
    expect(statuses).toEqual([0, 1])
    expect(said).toContain('file does not exist at: late')
    expect([await stateOf(paris.db, kept), await stateOf(paris.db, late)]).toEqual([SUCCEEDED, FAILED])
    // Judged by what the old primary has recorded.
    const after = await paris.db('widget_states').orderBy('widget_id').select('widget_id', 'verification_checksum')
    expect(after).toEqual(recorded)
  })

  it('has the other secondary follow, whose processes have run on, and gives back what it alone has', async () => {
    const { ino } = await stat(drill.blob('osaka', 'kept'))
    await paris.db.raw(slot)
    const [alter = '', reload = ''] = follow.trim().split('\n')
    const here = drill.conninfo(paris.server)
    await osaka.db.raw(asHere(alter, 'host=paris.example user=replica password=choose-one', here))
    await osaka.db.raw(reload)
    const fresh = await paris.site.add('fresh', 'written after')
    await settleAll(paris, osaka)
    expect(await paris.db('pg_replication_slots').select('slot_name', 'active')).toEqual([
      { slot_name: 'osaka', active: true },
    ])
    expect(await readFile(drill.blob('osaka', 'fresh'), 'utf8')).toBe('written after')
    expect((await stat(drill.blob('osaka', 'kept'))).ino).toBe(ino)
    const { statuses, said } = await typed(repair, paris.site, osaka.site)
    expect({ statuses, said }).toEqual({ statuses: [0], said: expect.stringContaining('repaired from osaka') })
    expect(await readFile(drill.blob('paris', 'late'), 'utf8')).toBe('never comes to paris')
    await settle(paris.site.parts)
    for (const id of [kept, late, fresh]) expect(await stateOf(paris.db, id)).toBe(SUCCEEDED)
  })

  it('brings the old one back as a secondary, whose files stay', async () => {
    await lose(osaka)
    const { ino } = await stat(drill.blob('tokyo', 'kept'))
    await paris.db.raw(enable)
    tokyo = await startSecondary('tokyo', paris, osaka.server.dir)
    expect(tokyo.site.parts.sites.role).toBe('secondary')
    await settleAll(paris, tokyo)
    expect(await readFile(drill.blob('tokyo', 'fresh'), 'utf8')).toBe('written after')
    expect((await stat(drill.blob('tokyo', 'kept'))).ino).toBe(ino)
    const copies = await drill.trackingOf('tokyo')('widget_registry').select('state', 'verification_state')
    expect(copies).toEqual(Array(3).fill({ state: 2, verification_state: SUCCEEDED }))
  })

  it('loses nothing where the fail over is planned', async () => {
    const last = await paris.site.add('last', 'written just before')
    const forTokyo = wait?.map((line) => asHere(line, 'paris', 'tokyo'))
    const atOnce = forTokyo?.map((line) => `${line} --timeout 0`)
    expect((await typed(atOnce, paris.site)).statuses).toEqual([1])
    await settleAll(paris, tokyo)
    drill.passTime()
    await settleAll(paris, tokyo)
    expect((await typed(forTokyo, paris.site, tokyo.site)).statuses).toEqual([0])
    await drill.stop(tokyo.site)
    await lose(paris)
    await tokyo.db.raw(promote)
    await tokyo.db.raw(asHere(renumber, 'paris', 'tokyo'))
    const heir = await drill.start('tokyo', tokyo.db)
    expect(await typed(verify, heir)).toEqual({ statuses: [0, 0], said: expect.stringContaining('Nothing failed') })
    expect(await stateOf(tokyo.db, last)).toBe(SUCCEEDED)
  })
})
