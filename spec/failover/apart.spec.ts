import { randomUUID } from 'node:crypto'
import type { Knex } from 'knex'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { facadeOf } from '../../lib/facade.ts'
import { databaseState } from '../../lib/failover/preflight.ts'
import { promoteDatabase } from '../../lib/failover/promote.ts'
import { promote } from '../../lib/promoting.ts'
import { step } from '../../lib/testing/settle.ts'
import { Drill } from '../support/drill.ts'
import { agrees, cutOff, lose, type Running, settleAll, startAgain, startThree, typed } from '../support/drill-sites.ts'
import { stepByStep } from '../support/step-by-step.ts'
import { until } from '../support/until.ts'

const { widgets } = declareReplicables('unused')
const [PARIS, OSAKA] = [1002, 1003]
const [PARIS_AGAIN, OSAKA_AGAIN] = [2002, 2003]
const LATER = 20

let drill: Drill
let tokyo: Running
let paris: Running
let osaka: Running
let slow: string
let apart: string

beforeAll(async () => {
  drill = await Drill.begin()
  ;[tokyo, paris, osaka] = await startThree(drill)
})
afterAll(() => drill?.end())

stepByStep()

const cursorOf = async (site: string) =>
  (await drill.trackingOf(site)('geo_event_cursors').first('xact_id', 'arrived_below')) as Record<string, string>
const preflight = (of: Running) => typed(drill, ['npx geo promote --preflight'], of.site)

/** As if the primary there had been promoted once more. */
async function setEpoch({ db, site }: Running, epoch: number): Promise<void> {
  await db('geo_nodes').where({ primary: true }).update({ epoch })
  await site.parts.sites.refresh()
}

/** Whoever is asked to type the phrase does so, after something has happened elsewhere. */
const promoteWhile = ({ site }: Running, happens: () => Promise<void>) =>
  promote(site.parts, {
    force: true,
    promotesDatabase: true,
    show: () => undefined,
    looked: () => undefined,
    async ask(phrase) {
      await happens()
      return phrase
    },
  })

/** An upload of the host that has not been committed yet. */
async function beginUpload({ db, site }: Running, key: string): Promise<{ id: string; trx: Knex.Transaction }> {
  const trx = await db.transaction()
  const [row] = await trx('widgets').insert({ name: key, file_path: key }).returning('*')
  await facadeOf(site.parts).replicator(widgets).created(row, trx)
  return { id: String(row.id), trx }
}

describe('Promotions that go otherwise than by the guide', () => {
  it('are not told that all has arrived by a seal from which nothing has come for ten minutes', async () => {
    await settleAll(drill, tokyo, paris, osaka)
    expect((await typed(drill, ['npx geo read-only on'], tokyo.site)).statuses).toEqual([0])
    await drill.caughtUp(tokyo.db, paris.db)
    expect(await preflight(paris)).toMatchObject({
      statuses: [0],
      said: expect.stringContaining('Nothing would be lost.'),
    })
    for (let minute = 0; minute <= 10; minute += 1) drill.passTime()
    const later = await preflight(paris)
    expect(later).toMatchObject({
      statuses: [1],
      said: expect.stringMatching(
        /nothing has come from it for more than ten.*\nIt would lose what tokyo wrote and has not/s,
      ),
    })
    expect((await typed(drill, ['npx geo read-only off'], tokyo.site)).statuses).toEqual([0])
  })

  it('know what had arrived also where the database was promoted by hand, and its events were followed since', async () => {
    await tokyo.db('geo_leases').insert({ kind: 'epoch', holder: randomUUID(), expires_at: '2999-01-01' })
    const upload = await beginUpload(tokyo, 'slow')
    slow = upload.id
    await tokyo.site.add('fast', 'is committed first')
    await settleAll(drill, tokyo, paris, osaka)
    // Osaka receives more: transactions whose numbers paris gives anew.
    await cutOff(paris)
    for (let at = 1; at <= LATER; at += 1) await tokyo.site.add(`later ${at}`, 'never comes to paris')
    await drill.caughtUp(tokyo.db, osaka.db)
    await cutOff(osaka)
    await upload.trx.commit()
    await lose(drill, tokyo)
    await paris.db.raw('select pg_promote()')
    while (await step(paris.site.parts, 'events'));
    const cursor = await cursorOf('paris')
    expect(BigInt(cursor['xact_id'] ?? 0)).toBeGreaterThan(BigInt(cursor['arrived_below'] ?? 0))
    const promoted = await typed(drill, ['npx geo promote --force'], paris.site, { answers: agrees })
    expect(promoted.said).toContain(`in epoch ${PARIS}.`)
    // Nothing of what had arrived is lost; what had not is, and that is no success.
    expect(promoted).toMatchObject({
      statuses: [1],
      said: expect.stringContaining('Lost of what had arrived: 0 files'),
    })
    expect(promoted.said).toContain('"osaka" has heard of it; its database does not follow this one yet.')
    // Nobody waits for who held something in the database of which this was a replica.
    expect(await paris.db('geo_leases').where('expires_at', '>', paris.db.fn.now()).pluck('kind')).toEqual([])

    tokyo = await startAgain(drill, 'tokyo', tokyo)
    const left = await typed(drill, ['npx geo demote'], tokyo.site)
    expect(left).toMatchObject({ statuses: [1], said: expect.stringContaining(`widget #${slow} slow: created`) })
    expect(left.said).toContain(`Written here and not there: ${LATER + 1} records\n`)
    await lose(drill, tokyo)
  })

  it('do not count what the new primary has written since among the losses', async () => {
    await paris.site.parts.sites.refresh()
    apart = await paris.site.add('apart', 'is on paris alone')
    // As if the command had been broken off before it looked at files.
    await paris.db('geo_promotions').update({ ended_at: null })
    const { said } = await typed(drill, ['npx geo promote'], paris.site)
    expect(said).toContain('Lost of what had arrived: 0 files')
    expect(said).not.toContain('nothing recorded')
    expect(await paris.db('geo_promotions').whereNull('ended_at')).toEqual([])
  })

  it('are refused where another site that answers has been promoted, unless somebody agrees to lose what it wrote', async () => {
    const refused = await typed(drill, ['npx geo promote --promote-database'], osaka.site)
    expect(refused).toMatchObject({
      statuses: [2],
      said: expect.stringContaining(`Another site has been promoted already: "paris" knows of epoch ${PARIS}.`),
      wrong: expect.stringContaining('STALE_EPOCH'),
    })
    const mistyped = await typed(drill, ['npx geo promote --promote-database --force'], osaka.site, {
      answers: (question) => agrees(question).replace(/ and what was written in epoch.*/, ''),
    })
    expect(mistyped).toMatchObject({
      statuses: [2],
      wrong: expect.stringMatching(/would lose .* and what was written in epoch 1002\n/),
    })
    expect((await databaseState(osaka.db)).recovering).toBe(true)
  })

  it('are refused where another site is promoted while somebody types', async () => {
    const promoted = promoteWhile(osaka, () => setEpoch(paris, PARIS_AGAIN))
    await expect(promoted).rejects.toMatchObject({
      code: 'WOULD_LOSE',
      message: expect.stringContaining(`written in epoch ${PARIS_AGAIN}`),
    })
    expect((await databaseState(osaka.db)).recovering).toBe(true)
    await setEpoch(paris, PARIS)
  })

  it('are still under way where the database has not ended to be a replica in time, and go on by the same command', async () => {
    const { rows } = await osaka.db.raw(`select pid from pg_stat_activity where backend_type = 'startup'`)
    const [{ pid: replaying }] = rows as [{ pid: number }]
    process.kill(replaying, 'SIGSTOP')
    try {
      await osaka.own.raw(`set statement_timeout = '100ms'`)
      await expect(promoteDatabase(osaka.own, 1)).rejects.toMatchObject({ code: 'PROMOTION_UNDER_WAY' })
    } finally {
      process.kill(replaying, 'SIGCONT')
    }
    await until(async () => !(await databaseState(osaka.db)).recovering)
    await drill.stop(paris.site)
    const promoted = await typed(drill, ['npx geo promote --promote-database --force'], osaka.site, { answers: agrees })
    expect(promoted.said).toContain(`in epoch ${OSAKA}.`)
    expect(promoted.said).toContain('"paris" has not heard of it')
  })

  it('begin another epoch each where two sites do not know of each other, and one is fenced by it', async () => {
    paris = { ...paris, site: await drill.start('paris', paris.own) }
    await osaka.site.parts.sites.refresh()
    await step(osaka.site.parts, 'epoch')
    expect([paris.site.parts.sites.fencedBy, osaka.site.parts.sites.fencedBy]).toEqual([OSAKA, null])
    await expect(paris.site.add('refused', 'too late')).rejects.toMatchObject({ code: 'STALE_EPOCH' })
  })

  it('list at the one that is fenced what it wrote since it was promoted', async () => {
    const left = await typed(drill, ['npx geo demote'], paris.site)
    expect(left.said).toMatch(new RegExp(`not there: 1 record\\n {2}widget #${apart} apart: created`))
  })

  it('do not go on with the old primary as long as a site does not answer that may have been promoted', async () => {
    await drill.stop(osaka.site)
    const unheard = await typed(drill, ['npx geo demote'], paris.site)
    expect(unheard).toMatchObject({
      statuses: [2],
      wrong: expect.stringMatching(/osaka: .*SITE_UNREACHABLE/s),
    })
    osaka = { ...osaka, site: await drill.start('osaka', osaka.own) }
  })

  it('make a fenced one the primary again only with force and its phrase, and fence the other', async () => {
    const refused = await typed(drill, ['npx geo promote'], paris.site)
    expect(refused).toMatchObject({ statuses: [2], wrong: expect.stringContaining('STALE_EPOCH') })
    const mistyped = await typed(drill, ['npx geo promote --force'], paris.site, { answers: () => 'yes' })
    expect(mistyped).toMatchObject({ statuses: [2], wrong: expect.stringContaining('WOULD_LOSE') })
    expect(paris.site.parts.sites.fencedBy).toBe(OSAKA)
    const listed = await typed(drill, ['npx geo site list'], paris.site)
    expect(listed.said).toContain(`fenced by epoch ${OSAKA}`)
    // Nobody would see what is changed there.
    const changed = await typed(drill, ['npx geo site update osaka --files-max-capacity 1'], paris.site)
    expect(changed).toMatchObject({ statuses: [2], wrong: expect.stringContaining('STALE_EPOCH') })
    // But where it reaches them it reads there itself.
    const moved = await typed(drill, ['npx geo site update osaka --internal-url none'], paris.site)
    expect(moved.statuses).toEqual([0])
    await paris.db('geo_nodes').where({ primary: true }).update({ read_only_since: paris.db.fn.now() })

    const tooLate = promoteWhile(paris, () => setEpoch(osaka, OSAKA_AGAIN))
    await expect(tooLate).rejects.toMatchObject({
      code: 'WOULD_LOSE',
      message: expect.stringContaining(`written in epoch ${OSAKA_AGAIN}`),
    })

    const retaken = await typed(drill, ['npx geo promote --force'], paris.site, { answers: agrees })
    expect(retaken).toMatchObject({ statuses: [1], said: expect.stringContaining('in epoch 3002.') })
    expect(retaken.said).toContain('What another site wrote as the primary meanwhile is not here')
    expect(retaken.said).toContain('"osaka" has heard of it')
    expect(osaka.site.parts.sites.fencedBy).toBe(3002)
    await paris.site.parts.sites.refresh()
    expect(await paris.site.add('again', 'takes writes')).toBeDefined()
    await expect(osaka.site.add('refused', 'too late')).rejects.toMatchObject({ code: 'STALE_EPOCH' })
  })

  it('do not end as if all was well where another site that is told of it has been promoted meanwhile', async () => {
    await setEpoch(osaka, 4003)
    const told = await typed(drill, ['npx geo promote'], paris.site)
    expect(told).toMatchObject({ statuses: [2], wrong: expect.stringContaining('STALE_EPOCH') })
  })
})
