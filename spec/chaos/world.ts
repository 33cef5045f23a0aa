import { randomBytes } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import createKnex from 'knex'
import { findPorts } from '../../fixtures/demo/ports.ts'
import { writeFeatures } from '../../fixtures/widget-app/features.ts'
import { createGeo, type Health } from '../../lib/index.ts'
import { temporaryFolder } from '../../lib/testing/postgres/account.ts'
import { caughtUp } from '../support/databases.ts'
import { SiteClient } from '../support/site-client.ts'
import type { ProcessScene, Scene, SecondaryScene } from './checks/scene.ts'
import { compile } from './compiled.ts'
import { type Databases, openDatabases, rowsOf } from './databases.ts'
import { Front } from './front.ts'
import { History } from './history.ts'
import { Host } from './host.ts'
import { Ledger } from './ledger.ts'
import { Mounts } from './mounts.ts'
import { openNetwork } from './namespaces.ts'
import { loopback, type Network, type Slowness } from './network.ts'
import { isBehind, stateOf } from './settled.ts'
import { SITES_KNOWN_WITHIN_MS, Site } from './site.ts'
import { Watcher } from './watcher.ts'

const PRIMARY = 'tokyo'
const SECONDARIES = ['paris']
const SERVERS = { primary: 2, secondary: 1 }
const WORKERS = { primary: 0, secondary: 2 }
/** What geo_nodes has as its default. */
export const CAPACITY = 10
const LOOK_EVERY_MS = 250

export interface Sent {
  readonly unit: 'packets' | 'connections'
  readonly count: number
}

/** Everything that a run breaks, and what it needs to know afterwards. */
export interface World {
  /** Where all of it is, and what is left of it after a violation. */
  readonly folder: string
  readonly history: History
  readonly ledger: Ledger
  readonly databases: Databases
  readonly network: Network
  readonly mounts: Mounts
  readonly front: Front
  readonly primary: Site
  /** One for now; nothing outside of this file counts on it. */
  readonly secondaries: readonly Site[]
  readonly sites: readonly Site[]
  readonly host: Host
  say(text: string): void
  /** What this machine does not allow, and why: told with the result, and a violation unless that is allowed. */
  skip(what: string, why: string): void
  readonly skipped: readonly string[]
  /** What this machine does not allow, and is done in another way: told with the result. */
  replace(what: string, how: string): void
  readonly replaced: readonly string[]
  /** What a fault has measured, by its name: told with the result of its phase. */
  figure(name: string, value: number): void
  /** Those since it was called last. */
  takeFigures(): Readonly<Record<string, number>>
  /** No packet between the sites arrives any more, those of the database's replication neither. */
  cut(): Promise<void>
  heal(): Promise<void>
  /** What is between the sites takes its time, and loses some of it; null: no longer. */
  slow(how: Slowness | null): Promise<void>
  /** By what it was slowed, as a kernel may not be able to; null where it was not yet. */
  readonly slowedBy: 'netem' | 'front' | null
  /** How much a site has sent to the others until now, whether it arrived or not, in what the network can count. */
  sent(site: Site): Promise<Sent>
  /** How many transfers each secondary may have open; 0 pauses them. Resolves when its processes have heard of it. */
  setCapacity(transfers: number): Promise<void>
  /** As the flags' server says from now on; the processes ask twice a second. */
  setFlags(flags: Record<string, boolean>): Promise<void>
  /** What a site says of its health, asked by this machine. */
  health(site: Site): Promise<Health>
  /** Resolves with null when every secondary has all that was acknowledged, verified; else with what is not, when time is up. */
  settled(timeoutMs: number): Promise<string | null>
  /** What the checks look at. */
  scene(): Promise<Scene>
  /** Ends all of it. Called twice it is fine. `keep`: leaves the folder. */
  close(keep: boolean): Promise<void>
}

export async function openWorld(say: (text: string) => void, wanted: Network['how']): Promise<World> {
  const folder = await temporaryFolder('geo-chaos-')
  const undo: (() => Promise<unknown>)[] = []
  const end = async (keep: boolean): Promise<void> => {
    const failures: unknown[] = []
    for (const step of undo.splice(0).toReversed()) await step().catch((reason: unknown) => failures.push(reason))
    if (!keep) await rm(folder, { recursive: true, force: true })
    if (failures.length > 0)
      throw new AggregateError(failures, `What ran could not be ended: ${failures.map(String).join('; ')}`)
  }
  try {
    await mkdir(join(folder, 'output'))
    await compile(folder)
    const history = new History(join(folder, 'history.jsonl'))
    undo.push(async () => history.close())
    const ledger = new Ledger()
    history.listen(ledger.add)
    const network = wanted === 'proxies' ? loopback() : await openNetwork([PRIMARY, ...SECONDARIES])
    undo.push(() => network.close())
    const databases = await openDatabases(join(folder, 'servers'))
    undo.push(() => databases.close())
    const front = await Front.open(network.place(PRIMARY))
    undo.push(() => front.close())

    const encryptionKey = randomBytes(32).toString('hex')
    const featuresFile = join(folder, 'features.json')
    await writeFeatures(featuresFile, { geo_widget_replication: true, geo_gadget_replication: true })
    const adminToken = randomBytes(16).toString('hex')
    const client = new SiteClient(adminToken)
    undo.push(() => client.close())
    const common = {
      FEATURES_FILE: featuresFile,
      ENCRYPTION_KEY: encryptionKey,
      ADMIN_TOKEN: adminToken,
    }
    const siteOf = async (name: string, number: 'primary' | 'secondary', environment: Record<string, string>) => {
      const place = network.place(name)
      const reachable = Object.entries(environment).map(([key, url]) => [key, url.replace('127.0.0.1', place.machine)])
      const ports = (await findPorts(null)).slice(0, SERVERS[number])
      return new Site({
        name,
        folder,
        place,
        ports,
        workers: WORKERS[number],
        environment: { ...common, ...Object.fromEntries(reachable) },
        history,
      })
    }
    const primary = await siteOf(PRIMARY, 'primary', {
      MAIN_DATABASE_URL: databases.primary.url,
      TRACKING_DATABASE_URL: '',
    })
    const secondaries = await Promise.all(
      SECONDARIES.map((name, at) => {
        const { replica, tracking } = secondaryAt(databases, at)
        return siteOf(name, 'secondary', { MAIN_DATABASE_URL: replica.url, TRACKING_DATABASE_URL: tracking.url })
      }),
    )
    await registerSites(databases, encryptionKey, front.url, primary, secondaries)
    front.order({ type: 'backends', urls: primary.urls })
    const sites = [primary, ...secondaries]
    for (const site of sites) undo.push(() => site.stop())
    await Promise.all(sites.map((site) => site.start()))
    const host = new Host({
      siteName: PRIMARY,
      mainUrl: databases.primary.url,
      blobsDir: primary.blobsDir,
      encryptionKey,
      history,
      ledger,
    })
    undo.push(() => host.close())
    const mounts = new Mounts()
    const watchers = secondaries.map((site) => new Watcher(site.blobsDir, ledger))
    // Before the sites end, and before anything is removed: what lies below a mount is not ours to remove.
    undo.push(() => mounts.close())
    undo.push(() => Promise.all(watchers.map((watcher) => watcher.close())))
    const recorded = new Map<string, string>()
    const skipped: string[] = []
    let slowedBy: World['slowedBy'] = null
    const replaced: string[] = []
    const tell = (list: string[], heading: string) => (what: string, why: string) => {
      const text = `${what}: ${why}`
      if (list.includes(text)) return
      say(`${heading}: ${text}`)
      list.push(text)
    }
    const skip = tell(skipped, 'SKIPPED')
    const replace = tell(replaced, 'REPLACED')
    if (network.fallback !== null) replace('a network for each site', network.fallback)
    let figures: Record<string, number> = {}

    return {
      folder,
      history,
      ledger,
      databases,
      network,
      mounts,
      front,
      primary,
      secondaries,
      sites,
      host,
      say,
      skipped,
      skip,
      replaced,
      replace,
      figure(name, value) {
        figures[name] = value
      },
      takeFigures() {
        const taken = figures
        figures = {}
        return taken
      },
      get slowedBy() {
        return slowedBy
      },
      async cut() {
        await network.cut()
        if (network.how === 'proxies') front.order({ type: 'silence', on: true })
        // Not before: what came between the two would stay open at the front, and nobody would wait for it.
        front.order({ type: 'strand' })
        for (const { line } of databases.secondaries) line.freeze()
      },
      async heal() {
        await network.heal()
        if (network.how === 'proxies') front.order({ type: 'silence', on: false })
        for (const { line } of databases.secondaries) {
          await line.shut()
          await line.open()
        }
      },
      async slow(how) {
        const isDone = await network.slow(how)
        if (!isDone) front.order({ type: 'slow', how })
        if (how && slowedBy === null) {
          slowedBy = isDone ? 'netem' : 'front'
          if (!isDone) replace('netem', 'the kernel has none: the front delays and loses instead')
        }
      },
      async sent({ name }) {
        const packets = await network.sent(name)
        if (packets !== null) return { unit: 'packets', count: packets }
        return { unit: 'connections', count: (await front.figures()).connections }
      },
      async setCapacity(transfers) {
        const statement = 'update geo_nodes set files_max_capacity = $1 where not "primary"'
        await rowsOf(databases.primary.url, statement, [transfers])
        await sleep(SITES_KNOWN_WITHIN_MS)
      },
      setFlags: (flags) => writeFeatures(featuresFile, flags),
      health: (site) => client.health(site.nearUrls[0] ?? ''),
      async settled(timeoutMs) {
        const deadline = performance.now() + timeoutMs
        for (;;) {
          const isLate = performance.now() > deadline
          if (isLate || !(await anyBehind(ledger, databases))) {
            const left = await leftOver(ledger, databases)
            if (left === null || isLate) return left
          }
          await sleep(LOOK_EVERY_MS)
        }
      },
      async scene() {
        await Promise.all(watchers.map((watcher) => watcher.lookAtAll()))
        for (const { misses } of watchers) {
          const [last, ...others] = misses.splice(0).toReversed()
          if (last !== undefined) say(`${others.length + 1} looks at final names failed, the last for: ${last}`)
        }
        const processes: ProcessScene[] = sites
          .flatMap(({ members, former }) => [...members, ...former])
          .map(({ name, output, ends }) => ({ name, output, ends: [...ends] }))
        const away = secondaries.map(({ name, blobsDir, members, storeBroke }, at): SecondaryScene => {
          const brokenOff = [...members.flatMap((member) => member.kills), ...storeBroke]
          const { tracking } = secondaryAt(databases, at)
          return { name, blobsDir, brokenOff, tracking: (statement, values) => rowsOf(tracking.url, statement, values) }
        })
        return {
          ledger,
          primary: {
            blobsDir: primary.blobsDir,
            main: (statement, values) => rowsOf(databases.primary.url, statement, values),
          },
          secondaries: away,
          processes,
          torn: watchers.flatMap((watcher) => watcher.torn),
          transfers: { capacity: CAPACITY, mostOpen: (await front.figures()).mostOpen },
          recorded,
        }
      },
      close: end,
    }
  } catch (reason) {
    await end(false)
    throw reason
  }
}

function secondaryAt({ secondaries }: Databases, at: number) {
  const secondary = secondaries[at]
  if (!secondary) throw new Error(`There are no database servers for secondary ${at}`)
  return secondary
}

async function anyBehind(ledger: Ledger, { secondaries }: Databases): Promise<boolean> {
  for (const { tracking } of secondaries)
    if (await isBehind(ledger, (statement, values) => rowsOf(tracking.url, statement, values))) return true
  return false
}

async function leftOver(ledger: Ledger, { secondaries }: Databases): Promise<string | null> {
  for (const { tracking } of secondaries) {
    const left = await stateOf(ledger, (statement, values) => rowsOf(tracking.url, statement, values))
    if (left !== null) return left
  }
  return null
}

async function registerSites(
  databases: Databases,
  encryptionKey: string,
  frontUrl: string,
  primary: Site,
  secondaries: readonly Site[],
): Promise<void> {
  const connect = (url: string) => createKnex({ client: 'pg', connection: url, pool: { min: 0, max: 2 } })
  const main = connect(databases.primary.url)
  const replicas = databases.secondaries.map(({ replica }) => connect(replica.url))
  const geo = createGeo({ siteName: primary.name, mainDb: main, replicables: [], encryptionKey, work: false })
  try {
    await geo.sites.add({ name: primary.name, url: frontUrl, primary: true })
    for (const { name, urls } of secondaries) await geo.sites.add({ name, url: urls[0] ?? '' })
    for (const replica of replicas) await caughtUp(main, replica)
  } finally {
    await geo.stop()
    await Promise.all([main, ...replicas].map((db) => db.destroy()))
  }
}
