import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../support/until.ts'
import { capacity } from '../checks/capacity.ts'
import { CHECKS } from '../checks/index.ts'
import type { Scene } from '../checks/scene.ts'
import { rowsOf } from '../databases.ts'
import {
  Acknowledged,
  judgeLosses,
  judgePlanned,
  judgeUnarrived,
  keysOf,
  ledgerOf,
  type SaidLoss,
  type SaidUnarrived,
} from '../failover/accounts.ts'
import { NAMES, type SiteName, Stage } from '../failover/stage.ts'
import { Watching } from '../failover/watching.ts'
import type { History } from '../history.ts'
import { Host } from '../host.ts'
import { Ledger } from '../ledger.ts'
import type { Seeded } from '../seeded.ts'
import { stateOf } from '../settled.ts'
import { CAPACITY, type World } from '../world.ts'
import { type Reached, sumOf, tooSmall } from '../writes.ts'
import type { Fault } from './fault.ts'
import { underLoad } from './under-load.ts'

const LEAST_BYTES = 1024
const SIZES = { leastBytes: LEAST_BYTES, mostBytes: 64 * 1024, replaced: 5, deleted: 5 }
const FILLED_PER_SECOND = 100
/** What two cores carry for three sites and all their servers: a promotion is to be timed, and not a machine that has too much to do. */
const PER_SECOND = 30
const SETTLED_WITHIN_MS = 300_000
const LOOK_EVERY_MS = 250
const FENCED_WITHIN_MS = 60_000
/** As documented, and time for a machine under load. */
const KNOWN_WITHIN_MS = 15_000
/** How long no files come before the replicas get nothing either: of these rows the files are lost with the primary. */
const WITHOUT_FILES_MS = { least: 2000, most: 3000 }
/** How long the replicas get nothing before the primary is lost, and how long it is written to before all that. */
const UNARRIVED_MS = { least: 300, most: 1500 }
const BEFORE_MS = { least: 1000, most: 4000 }

/** What it answers then. One that is read-only, as before a planned promotion, or whose database is away, refuses with another code. */
const FENCED = '503 STALE_EPOCH'

/** How many are written before a look, of which some are replaced and deleted. */
const AFTERWARDS = 100
/** No front stands before these sites that could count how many transfers are open. */
const LOOKED_AT = CHECKS.filter((check) => check !== capacity)

const FULL = { rounds: 3, blobs: 10_000 }

export const failover: Fault<{ rounds: number; blobs: number }> = {
  name: 'failover',
  title: 'a planned and an unplanned promotion among three sites, there and back',
  full: FULL,
  least: { rounds: 1, blobs: 300 },
  async run(world, { rounds, blobs }, chance) {
    // Nothing of it is of the other world, nor in its history.
    const stage = await Stage.open(join(world.folder, `failover-${Date.now()}`))
    const drill = new Drill(world.say, stage, chance)
    try {
      await drill.load(blobs)
      for (let round = 0; round < rounds; round += 1) {
        await drill.planned()
        await drill.look(`round ${round + 1}, after the planned promotion`)
        await drill.unplanned()
        await drill.look(`round ${round + 1}, after the unplanned promotion`)
      }
      drill.mustHaveLost(rounds >= FULL.rounds)
      drill.mustHaveWritten()
      return drill.violations
    } finally {
      await drill.close()
      await stage.close()
    }
  },
}

async function codeOf(answer: Response): Promise<string> {
  const { code } = (await answer.json().catch(() => ({}))) as { code?: unknown }
  return typeof code === 'string' ? code : 'without a code'
}

interface Promotion {
  readonly losses: readonly SaidLoss[]
  readonly replayedAt: string | null
  readonly sealed: boolean
  readonly ended: boolean
}

/** How long something took, and each step of it. */
class Laps {
  readonly #beganMs = performance.now()
  #lastMs = this.#beganMs
  readonly #laps: string[] = []

  end(name: string): void {
    const nowMs = performance.now()
    this.#laps.push(`${name} ${((nowMs - this.#lastMs) / 1000).toFixed(1)}`)
    this.#lastMs = nowMs
  }

  get seconds(): number {
    return (this.#lastMs - this.#beganMs) / 1000
  }

  get text(): string {
    return this.#laps.join(', ')
  }
}

class Drill {
  readonly violations: string[] = []
  readonly #say: World['say']
  readonly #stage: Stage
  readonly #chance: Seeded
  readonly #acknowledged = new Acknowledged()
  readonly #recorded = new Map<string, string>()
  /** Of all unplanned promotions together. */
  readonly #lostInAll = { files: 0, records: 0 }
  /** What was written before each promotion, until the primary took no more. */
  readonly #loads: Reached[] = []
  /** Also of rows that did not arrive, and whose files are somewhere. */
  readonly #everything = new Ledger()
  readonly #watching = new Watching(this.#everything)
  #ledger = new Ledger()
  #primary: SiteName = 'tokyo'
  #host: Host

  constructor(say: World['say'], stage: Stage, chance: Seeded) {
    this.#say = say
    this.#stage = stage
    this.#chance = chance
    this.#host = this.#hostAt('tokyo')
  }

  /** Its writes go into the ledger of the moment: after a promotion the host has other rows. */
  #hostAt(site: SiteName, ledger = this.#ledger): Host {
    const note: History['note'] = (entry) => {
      this.#stage.history.note(entry)
      this.#everything.add(entry)
      ledger.add(entry)
      this.#acknowledged.add(entry)
    }
    return new Host({
      siteName: site,
      mainUrl: this.#stage.mainUrl(site),
      blobsDir: this.#stage.blobsDir(site),
      encryptionKey: this.#stage.encryptionKey,
      history: { note },
      ledger,
    })
  }

  /** Said at once: what goes wrong here may keep what follows waiting. */
  #found(...messages: readonly string[]): void {
    this.violations.push(...messages)
    for (const message of messages) this.#say(message)
  }

  get #secondaries(): SiteName[] {
    return NAMES.filter((name) => name !== this.#primary)
  }

  #load(blobs: number, perSecond: number): Promise<number> {
    return this.#host.load({ ...SIZES, blobs, perSecond }, this.#chance.stream(`load ${this.#ledger.count}`))
  }

  async #underLoad<Result>(act: () => Promise<Result>): Promise<Result> {
    const host = this.#host
    const load = { ...SIZES, perSecond: PER_SECOND }
    const result = await underLoad(
      { host, say: this.#say },
      load,
      this.#chance.stream(`load ${this.#ledger.count}`),
      act,
    )
    this.#loads.push(...host.writes.loads.slice(-1))
    return result
  }

  #watch(): void {
    for (const name of this.#secondaries) this.#watching.begin(name, this.#stage.blobsDir(name))
  }

  async load(blobs: number): Promise<void> {
    this.#watch()
    // Some of what is written deletes another one.
    for (let left = blobs; left > 0; left = blobs - this.#ledger.liveCount) await this.#load(left, FILLED_PER_SECOND)
    await this.#settle('at first')
  }

  async #settle(when: string): Promise<void> {
    const deadline = performance.now() + SETTLED_WITHIN_MS
    for (;;) {
      const left = await this.#left()
      if (left === null) return
      if (performance.now() > deadline) {
        this.#found(`${when}, ${SETTLED_WITHIN_MS / 1000} s were not enough: ${left}`)
        return
      }
      await sleep(LOOK_EVERY_MS)
    }
  }

  async #left(): Promise<string | null> {
    for (const name of this.#secondaries) {
      const left = await stateOf(this.#ledger, (statement, values) =>
        rowsOf(this.#stage.trackingUrl(name), statement, values),
      )
      if (left !== null) return `${name}: ${left}`
    }
    return null
  }

  /** What a command says as JSON, if it ends as it should. */
  async #said<Answer>(statuses: readonly number[], site: SiteName, ...words: string[]): Promise<Answer> {
    const { status, stdout, stderr } = await this.#stage.geo(site, ...words, '--json')
    if (!statuses.includes(status))
      throw new Error(`geo ${words.join(' ')} at ${site} ended with ${status}: ${stdout}${stderr}`)
    return JSON.parse(stdout) as Answer
  }

  async #do(site: SiteName, ...words: string[]): Promise<void> {
    const { status, stdout, stderr } = await this.#stage.geo(site, ...words)
    if (status !== 0) throw new Error(`geo ${words.join(' ')} at ${site} ended with ${status}: ${stdout}${stderr}`)
  }

  async planned(): Promise<void> {
    const [from, to] = [this.#primary, this.#chance.of(this.#secondaries)]
    const laps = await this.#underLoad(async () => {
      await sleep(this.#chance.between(BEFORE_MS.least, BEFORE_MS.most))
      // What it takes of the machine is not to be timed.
      await this.#watching.endAll()
      const begun = new Laps()
      await this.#do(from, 'read-only', 'on')
      begun.end('read-only')
      return begun
    })
    await this.#do(to, 'wait', '--timeout', '300')
    laps.end('wait')
    await this.#stage.rest(from)
    laps.end('rest')
    const report = await this.#said<Promotion>([0], to, 'promote', '--promote-database')
    laps.end('promote')
    const before = this.#host
    const sealedLedger = this.#ledger
    this.#moveTo(to)
    await this.#mustWrite()
    laps.end('write')
    const { seconds } = laps
    this.#say(
      `planned: ${to} took the place of ${from} in ${seconds.toFixed(1)} s (${laps.text}), with ${this.#ledger.liveCount} blobs`,
    )
    this.#found(...judgePlanned({ seconds, sealed: report.sealed }))
    const keys = await keysOf(this.#stage, to)
    const missing = sealedLedger.live().filter((record) => !keys.has(`${record.type}/${record.id}`))
    this.#found(...missing.map(({ type, id }) => `a planned failover lost the row ${type}/${id}`))
    const { violations, lost: gone } = await judgeLosses(this.#ledger, keys, this.#stage.blobsDir(to), report.losses)
    this.#found(...violations, ...gone.map((name) => `a planned failover lost the file of ${name}`))
    await before.close()
    const { third, records } = await this.#meetAgain(from)
    this.#found(...records.map(({ type, id }) => `a planned failover: \`geo demote\` lists ${type} ${id}`))
    await this.#comeBack(from, third)
  }

  async unplanned(): Promise<void> {
    const from = this.#primary
    await this.#underLoad(async () => {
      await sleep(this.#chance.between(BEFORE_MS.least, BEFORE_MS.most))
      await this.#stage.setCapacity(this.#primary, 0)
      await sleep(this.#chance.between(WITHOUT_FILES_MS.least, WITHOUT_FILES_MS.most))
      for (const name of this.#secondaries) await this.#stage.cutOff(name)
      await sleep(this.#chance.between(UNARRIVED_MS.least, UNARRIVED_MS.most))
      await this.#stage.lose(from)
    })
    await this.#host.close()
    const to = await this.#furthest()
    await this.#watching.end(to)
    const { phrase } = await this.#said<{ phrase: string }>([1], to, 'promote', '--preflight')
    const force = ['--promote-database', '--force', '--phrase', phrase]
    const report = await this.#said<Promotion>([0, 1], to, 'promote', ...force)
    const keys = await keysOf(this.#stage, to)
    const before = this.#ledger
    const { violations, lost: gone } = await judgeLosses(before, keys, this.#stage.blobsDir(to), report.losses)
    this.#found(...violations)
    this.#ledger = ledgerOf(before, keys)
    this.#moveTo(to)
    await this.#mustWrite()

    const { third, records } = await this.#meetAgain(from)
    this.#found(...judgeUnarrived(before, keys, this.#acknowledged, records, report.replayedAt))
    this.#say(
      `unplanned: ${to} took the place of ${from}; ${gone.length} files were lost of what had arrived, ${records.length} records had not`,
    )
    this.#lostInAll.files += gone.length
    this.#lostInAll.records += records.length
    await this.#restore(gone)
    await this.#stage.setCapacity(this.#primary, CAPACITY)
    await this.#comeBack(from, third)
  }

  /** Where nothing was there to be lost, nothing is known of what is listed; few rounds may have such luck. */
  mustHaveLost(isFull: boolean): void {
    const { files, records } = this.#lostInAll
    const text = `${files} files and ${records} records in all were lost in unplanned promotions`
    if (isFull && (files === 0 || records === 0)) this.#found(`nothing was put to the test: ${text}`)
    else this.#say(text)
  }

  /** Each of them ends with a moment in which nothing can be written, so they are judged together. */
  mustHaveWritten(): void {
    this.#found(...tooSmall(sumOf(this.#loads, PER_SECOND)))
  }

  /** The former primary is there again, with its database as it was left: it is fenced, and says what had not arrived. */
  async #meetAgain(from: SiteName): Promise<{ third: SiteName; records: readonly SaidUnarrived[] }> {
    const third = await this.#turnThird(from)
    await this.#stage.startDatabase(from)
    await this.#stage.start(from)
    // What it may write against all promises is a violation, and nothing that the other sites are to have.
    const lonely = this.#hostAt(from, new Ledger())
    await this.#mustBeFenced(from, lonely)
    await lonely.close()
    const left = await this.#said<{ unarrived: { records: SaidUnarrived[] } }>([0, 1], from, 'demote')
    return { third, records: left.unarrived.records }
  }

  /** Of the secondaries, the one whose replica has received most. */
  async #furthest(): Promise<SiteName> {
    const received = await Promise.all(
      this.#secondaries.map(async (name) => {
        const [row] = await this.#stage.main<{ bytes: string }>(
          name,
          `select (pg_last_wal_receive_lsn() - '0/0'::pg_lsn)::text as bytes`,
        )
        return { name, bytes: BigInt(row?.bytes ?? 0) }
      }),
    )
    const [first] = received.sort((one, other) => (one.bytes > other.bytes ? -1 : 1))
    if (!first) throw new Error('There is no secondary')
    return first.name
  }

  /** The host goes on at the new primary, which is to do without its tracking database from its next start on. */
  #moveTo(to: SiteName): void {
    this.#primary = to
    this.#host = this.#hostAt(to)
    this.#stage.noTracking(to)
  }

  /** The one that was neither follows the new primary, before the former one is there again and sends it more than that has. */
  async #turnThird(from: SiteName): Promise<SiteName> {
    const third = NAMES.find((name) => name !== from && name !== this.#primary)
    if (!third) throw new Error('There are three sites')
    await this.#stage.follow(third, this.#primary)
    return third
  }

  async #mustWrite(): Promise<void> {
    const { count } = this.#ledger
    // Nothing is replaced or deleted while a site is away that comes back without its tracking database.
    await this.#host.publish('widgets', LEAST_BYTES, this.#chance.stream(`written first ${count}`))
    if (this.#ledger.count === count) this.#found(`the new primary ${this.#primary} takes no writes`)
  }

  /** The former primary hears of it, and then neither its host nor people can write. */
  async #mustBeFenced(from: SiteName, host: Host): Promise<void> {
    const isFenced = async () => {
      const rows = await this.#stage.main(
        from,
        'select 1 from geo_nodes where "primary" and fenced_by_epoch is not null',
      )
      return rows.length > 0
    }
    const heard = await until(isFenced, FENCED_WITHIN_MS).then(
      () => true,
      () => false,
    )
    if (!heard) this.#found(`${from} has not heard of the promotion ${FENCED_WITHIN_MS / 1000} s after it was there`)
    const before = await this.#rowsAt(from)
    await host.publish('widgets', LEAST_BYTES, this.#chance)
    if ((await this.#rowsAt(from)) !== before) this.#found(`the host could write at ${from}, which is fenced`)
    // Its other processes know within five seconds; until then the database refuses.
    let said = ''
    const isRefused = async () => {
      const answer = await fetch(`${this.#stage.url(from)}/widgets`, { method: 'POST' })
      said = `${answer.status} ${await codeOf(answer)}`
      return said === FENCED
    }
    await until(isRefused, KNOWN_WITHIN_MS).catch(() =>
      this.#found(`${from}, which is fenced, still answers a write with ${said}`),
    )
  }

  async #rowsAt(site: SiteName): Promise<number> {
    const [row] = await this.#stage.main<{ count: number }>(site, 'select count(*)::int as count from widgets')
    return row?.count ?? 0
  }

  async #comeBack(from: SiteName, third: SiteName): Promise<void> {
    const stage = this.#stage
    await stage.stop(this.#primary)
    await stage.start(this.#primary)
    await stage.stop(from)
    await stage.rebuild(from, this.#primary, third)
    await stage.newTracking(from)
    await this.#do(from, 'demote')
    this.#watch()
    await stage.start(from)
    await this.#settle(`after ${from} came back`)
  }

  /** What other sites have comes back; what none has goes, as an operator would have it. */
  async #restore(gone: readonly string[]): Promise<void> {
    if (gone.length === 0) return
    const repaired = await this.#stage.geo(this.#primary, 'repair')
    if (repaired.status === 2) throw new Error(`geo repair: ${repaired.stderr}`)
    const { lost: still } = await judgeLosses(
      this.#ledger,
      await keysOf(this.#stage, this.#primary),
      this.#stage.blobsDir(this.#primary),
      [],
    )
    for (const name of still) {
      const record = this.#ledger.liveOf(name)
      if (record) await this.#host.remove(record)
    }
    // The former primary, which has the files of these rows, never had their copies: there they lie until its store is swept.
    if (still.length > 0) await this.#forgetRemoved()
    this.#say(`${gone.length - still.length} of ${gone.length} lost files were repaired from other sites`)
  }

  async #forgetRemoved(): Promise<void> {
    await this.#host.close()
    this.#ledger = ledgerOf(this.#ledger, await keysOf(this.#stage, this.#primary))
    this.#host = this.#hostAt(this.#primary)
  }

  /** All goes on as before, also what is replaced and deleted. */
  async look(when: string): Promise<void> {
    await this.#load(AFTERWARDS, FILLED_PER_SECOND)
    await this.#settle(when)
    const stage = this.#stage
    const scene: Scene = {
      ledger: this.#ledger,
      primary: {
        blobsDir: stage.blobsDir(this.#primary),
        main: (statement, values) => stage.main(this.#primary, statement, values),
      },
      secondaries: this.#secondaries.map((name) => ({
        name,
        blobsDir: stage.blobsDir(name),
        tracking: (statement, values) => rowsOf(stage.trackingUrl(name), statement, values),
        brokenOff: stage.brokenOff(name),
      })),
      processes: stage.processes(),
      torn: await this.#watching.torn(),
      transfers: { capacity: 0, mostOpen: 0 },
      recorded: this.#recorded,
    }
    for (const check of LOOKED_AT) {
      const found = await check.look(scene)
      this.#found(...found.map((message) => `${when}, ${check.name}: ${message}`))
    }
  }

  async close(): Promise<void> {
    await this.#watching.close()
    await this.#host.close()
  }
}
