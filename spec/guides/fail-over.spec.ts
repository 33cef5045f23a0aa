import { readFile, stat } from 'node:fs/promises'
import type { Knex } from 'knex'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { settle, step } from '../../lib/testing/settle.ts'
import { exchangedBlock, roleBlock } from '../support/database-roles.ts'
import { Drill } from '../support/drill.ts'
import {
  agrees,
  cutOff,
  lose,
  type Running,
  settleAll,
  startAgain,
  startSecondary,
  startThree,
  typed,
} from '../support/drill-sites.ts'
import { readGuide } from '../support/guide.ts'
import { stepByStep } from '../support/step-by-step.ts'
import { until } from '../support/until.ts'

const blocks = await readGuide('fail-over.md')
const textsOf = (language: string) => blocks.filter((block) => block.language === language).map(({ text }) => text)
const [received = '', slot = '', follow = ''] = textsOf('sql')
const commands = textsOf('sh').map((text) => text.trim().split('\n'))
const [preflight, readOnly, wait, planned, unplanned, check, repair, leave, comeBack] = commands

const [SUCCEEDED, FAILED] = [2, 3]

let drill: Drill
let tokyo: Running
let paris: Running
let osaka: Running
let kept: string
let late: string
let alone: string
let unarrived: string

const [promoteNow = ''] = (await roleBlock('promoted')).trim().split('\n')

/** The role of the site that was the primary before may write its database no more, where it could before that was taken from it. */
async function takeFrom(role: string, { db, server }: Running, givenUp: string): Promise<void> {
  const former = await drill.openAs(role, server)
  const writes = () => former('geo_nodes').where({ name: 'nobody' }).update({ enabled: true })
  expect(await writes()).toBe(0)
  await db.raw(givenUp)
  await expect(writes()).rejects.toMatchObject({ code: '42501' })
  await expect(former('widgets').delete()).rejects.toMatchObject({ code: '42501' })
  expect(await former('widgets').count()).toHaveLength(1)
}

/** The statement as the guide has it, with what is different here. */
function asHere(text: string, from: string, to: string): string {
  expect(text).toContain(from)
  return text.replace(from, to)
}

async function followNow({ db }: Running, whom: Running): Promise<void> {
  const [alter = '', reload = ''] = follow.trim().split('\n')
  await db.raw(asHere(alter, 'host=paris.example user=replica password=choose-one', drill.conninfo(whom.server)))
  await db.raw(reload)
}

const stateOf = async (db: Knex, id: string) =>
  (await db('widget_states').where({ widget_id: id }).first('verification_state')).verification_state

beforeAll(async () => {
  drill = await Drill.begin()
  ;[tokyo, paris, osaka] = await startThree(drill)
})
afterAll(() => drill?.end())

stepByStep()

describe('A drill by the guide to failing over', () => {
  it('begins with three sites, of which one lacks a file, both another, and none has the last write, when the primary is lost', async () => {
    kept = await tokyo.site.add('kept', 'is on all')
    await settleAll(drill, tokyo, paris, osaka)
    late = await tokyo.site.add('late', 'never comes to paris')
    await settleAll(drill, tokyo, osaka)
    alone = await tokyo.site.add('alone', 'is told of everywhere')
    await settle(tokyo.site.parts)
    for (const { db } of [paris, osaka]) await drill.caughtUp(tokyo.db, db)
    await until(async () => {
      const [ofParis, ofOsaka] = await Promise.all([paris, osaka].map(({ db }) => db.raw(received)))
      expect(ofParis.rows).toEqual([{ received: expect.stringMatching(/^\w+\/\w+$/) }])
      // PostgreSQL's background writer logs something of its own now and then, which comes to both, but not at once.
      return ofParis.rows[0].received === ofOsaka.rows[0].received
    })
    await Promise.all([paris, osaka].map(cutOff))
    unarrived = await tokyo.site.add('unarrived', 'is on tokyo alone')
    await lose(drill, tokyo)
  })

  it('lists what would be lost, and promotes nothing by mistake', async () => {
    const looked = await typed(drill, preflight, paris.site)
    expect(looked.statuses).toEqual([1])
    expect(looked.said).toContain(
      `widget: 2 of 3 not proven to be here\n  widget #${late} late: unknown\n  widget #${alone} alone: unknown\n`,
    )
    expect(looked.said).toMatch(/It would lose 2 records and what tokyo wrote and has not arrived\./)
    const refused = await typed(drill, ['npx geo promote --promote-database'], paris.site)
    expect(refused).toMatchObject({ statuses: [2], wrong: expect.stringContaining('WOULD_LOSE') })
    const mistyped = await typed(drill, unplanned, paris.site, { answers: () => 'yes' })
    expect(mistyped).toMatchObject({ statuses: [2], wrong: expect.stringContaining('WOULD_LOSE') })
    const unasked = await typed(drill, unplanned, paris.site)
    expect(unasked.wrong).toMatch(/Missing: --phrase "lose 2 records and what tokyo wrote and has not arrived"/)
    const undone = await typed(drill, ['npx geo promote --force'], paris.site)
    expect(undone).toMatchObject({ statuses: [2], wrong: expect.stringContaining('NOT_PROMOTED') })
    expect((await paris.db.raw('select pg_is_in_recovery() as recovering')).rows).toEqual([{ recovering: true }])
  })

  it('has a secondary take the place of the primary, and lists what is lost', async () => {
    const recorded = await paris.db('widget_states').orderBy('widget_id').select('widget_id', 'verification_checksum')
    const { statuses, said } = await typed(drill, unplanned, paris.site, { answers: agrees })
    expect(statuses).toEqual([1])
    expect(said).toContain(
      `Lost of what had arrived: 2 files\n  widget #${late} late: missing, File is not checksummable - file does not exist at: late\n`,
    )
    expect(said).toMatch(/What "tokyo" wrote after [^ ]+Z is not here/)
    expect(await paris.db('geo_nodes').orderBy('id').select('name', 'primary', 'enabled', 'epoch')).toEqual([
      { name: 'tokyo', primary: false, enabled: false, epoch: 0 },
      { name: 'paris', primary: true, enabled: true, epoch: 1002 },
      { name: 'osaka', primary: false, enabled: true, epoch: 0 },
    ])
    // Judged by what the old primary has recorded; nothing that was proven is hashed again.
    expect(await stateOf(paris.db, kept)).toBe(SUCCEEDED)
    await paris.site.parts.sites.refresh()
    await settle(paris.site.parts)
    expect([await stateOf(paris.db, kept), await stateOf(paris.db, late)]).toEqual([SUCCEEDED, FAILED])
    const after = await paris.db('widget_states').orderBy('widget_id').select('widget_id', 'verification_checksum')
    expect(after).toEqual(recorded)
  })

  it('takes from the role of the former primary what it may do no more', async () => {
    await takeFrom('app_tokyo', paris, await roleBlock('given-up'))
  })

  it('says what is still to be done there, and reports again', async () => {
    const reminded = await typed(drill, check, paris.site)
    expect(reminded).toMatchObject({
      statuses: [1],
      said: expect.stringContaining('Remove `trackingDb` from the options'),
    })
    await drill.stop(paris.site)
    paris = { ...paris, site: await drill.start('paris', paris.own) }
    expect((await typed(drill, check, paris.site)).statuses).toEqual([0])
    const { statuses, said } = await typed(drill, ['npx geo promote --json'], paris.site)
    expect([statuses, JSON.parse(said)]).toEqual([
      [1],
      expect.objectContaining({
        epoch: 1002,
        siteName: 'paris',
        formerSiteName: 'tokyo',
        sealed: false,
        ended: true,
        lost: 2,
        losses: [
          expect.objectContaining({ type: 'widget', id: late, key: 'late', finding: 'missing' }),
          expect.objectContaining({ type: 'widget', id: alone, key: 'alone', finding: 'missing' }),
        ],
      }),
    ])
  })

  it('fences the old one when it is there again', async () => {
    tokyo = await startAgain(drill, 'tokyo', tokyo)
    expect(tokyo.site.parts.sites.role).toBe('primary')
    await step(tokyo.site.parts, 'epoch')
    expect(tokyo.site.parts.sites.role).toBe('unknown')
    await expect(tokyo.site.add('refused', 'at once')).rejects.toMatchObject({ code: 'STALE_EPOCH' })
  })

  it('has the other secondary follow, whose processes have run on, and gives back what it alone has', async () => {
    const { ino } = await stat(drill.blob('osaka', 'kept'))
    await paris.db.raw(slot)
    await followNow(osaka, paris)
    const fresh = await paris.site.add('fresh', 'written after')
    await settleAll(drill, paris, osaka)
    expect(await paris.db('pg_replication_slots').select('slot_name', 'active')).toEqual([
      { slot_name: 'osaka', active: true },
    ])
    expect(await readFile(drill.blob('osaka', 'fresh'), 'utf8')).toBe('written after')
    expect((await stat(drill.blob('osaka', 'kept'))).ino).toBe(ino)
    const { statuses, said } = await typed(drill, repair, paris.site, { among: [osaka.site] })
    expect({ statuses, said }).toEqual({ statuses: [1], said: expect.stringContaining('repaired from osaka') })
    expect(await readFile(drill.blob('paris', 'late'), 'utf8')).toBe('never comes to paris')
    await settle(paris.site.parts)
    for (const id of [kept, late, fresh]) expect(await stateOf(paris.db, id)).toBe(SUCCEEDED)
  })

  it('lists on the old one what had not arrived, and brings it back as a secondary, whose files stay', async () => {
    const left = await typed(drill, leave, tokyo.site)
    expect(left.statuses).toEqual([1])
    expect(left.said).toContain('"paris" has been the primary since')
    expect(left.said).toMatch(new RegExp(`not there: 1 record\\n {2}widget #${unarrived} unarrived: created \\d{4}-`))
    await lose(drill, tokyo)
    await lose(drill, osaka)
    const { ino } = await stat(drill.blob('tokyo', 'kept'))
    tokyo = await startSecondary(drill, 'tokyo', paris, osaka.server.dir)
    expect(tokyo.site.parts.sites.role).toBe('secondary')
    const back = await typed(drill, comeBack, tokyo.site)
    expect(back).toMatchObject({ statuses: [0], said: expect.stringContaining('is a secondary of "paris" now') })
    await drill.caughtUp(paris.db, tokyo.db)
    await tokyo.site.parts.sites.refresh()
    await settleAll(drill, paris, tokyo)
    expect(await readFile(drill.blob('tokyo', 'fresh'), 'utf8')).toBe('written after')
    expect((await stat(drill.blob('tokyo', 'kept'))).ino).toBe(ino)
    const copies = await drill.trackingOf('tokyo')('widget_registry').select('state', 'verification_state')
    expect(copies).toEqual(Array(4).fill({ state: 2, verification_state: SUCCEEDED }))
  })

  it('gives back what lay on the old one alone, though it had been told of', async () => {
    expect(await stateOf(paris.db, alone)).toBe(FAILED)
    const { statuses, said } = await typed(drill, repair, paris.site, { among: [tokyo.site] })
    expect({ statuses, said }).toEqual({ statuses: [0], said: expect.stringContaining('repaired from tokyo') })
    await settle(paris.site.parts)
    expect(await stateOf(paris.db, alone)).toBe(SUCCEEDED)
  })

  it('loses nothing where the fail over is planned', async () => {
    const [, grantsOfPromoted = ''] = (await exchangedBlock('promoted')).trim().split('\n')
    for (const grants of [grantsOfPromoted, await roleBlock('app')]) await paris.db.raw(grants)
    const last = await paris.site.add('last', 'written just before')
    expect((await typed(drill, readOnly, paris.site)).statuses).toEqual([0])
    await expect(paris.site.add('refused', 'too late')).rejects.toMatchObject({ code: 'READ_ONLY_MODE' })
    await drill.caughtUp(paris.db, tokyo.db)
    const early = await typed(drill, preflight, tokyo.site)
    expect(early).toMatchObject({ statuses: [1], said: expect.stringContaining('It would lose 1 record.') })
    await settle(paris.site.parts)
    await settleAll(drill, paris, tokyo)
    const passed = await typed(drill, preflight, tokyo.site)
    expect(passed).toMatchObject({ statuses: [0], said: expect.stringContaining('Nothing would be lost.') })
    expect((await typed(drill, wait, tokyo.site, { among: [paris.site] })).statuses).toEqual([0, 0])
    const lacks = 'grant execute on function pg_promote(boolean, integer) to app_tokyo'
    expect(passed.said).toContain(`Its role may not do it yet, for it lacks:\n  ${lacks}\n`)
    const refused = await typed(drill, planned, tokyo.site)
    expect(refused.statuses).toEqual([2])
    expect(refused.wrong).toContain(`It lacks: ${lacks}\nNOT_GRANTED`)
    await tokyo.db.raw(promoteNow)
    const { statuses, said } = await typed(drill, planned, tokyo.site)
    expect(statuses).toEqual([0])
    expect(said).toContain('Lost of what had arrived: 0 files\n')
    // The one before hears of it while it is there.
    expect(said).toContain('"paris" has heard of it, and serves nothing any more.')
    expect(paris.site.parts.sites.role).toBe('unknown')
    await lose(drill, paris)
    await takeFrom('app_paris', tokyo, await exchangedBlock('given-up'))
    await drill.stop(tokyo.site)
    const heir = await drill.start('tokyo', tokyo.own)
    expect(await stateOf(tokyo.db, last)).toBe(SUCCEEDED)
    expect(await heir.add('after', 'the heir takes writes')).toBeDefined()
  })
})
