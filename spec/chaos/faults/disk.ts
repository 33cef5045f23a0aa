import { execFile } from 'node:child_process'
import { mkdir, open, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Ping } from '../ping.ts'
import type { Site } from '../site.ts'
import { Strace, straceImpossible } from '../strace.ts'
import { filesBelow, OWN_PREFIX } from '../watcher.ts'
import type { World } from '../world.ts'
import { watchBacklog } from './backlog.ts'
import type { Fault } from './fault.ts'
import { HealthWatch } from './health-watch.ts'
import { newlyRetried, retried } from './retries.ts'
import { underLoad } from './under-load.ts'

const run = promisify(execFile)
const MEBIBYTE = 1024 * 1024
const LEAST_BYTES = 1024
const MOST_BYTES = 64 * 1024
const ROOM_BYTES = 256 * MEBIBYTE
const NOTED_WITHIN_MS = 20_000
const BACK_WITHIN_MS = 30_000
const CAUGHT_UP_WITHIN_MS = 120_000
const BETWEEN_MS = 3000
const REMOUNT_ATTEMPTS = 200
const REMOUNT_AGAIN_MS = 25
/** How much slower the host may answer while the disk is bad. */
const MOST_P99 = 1.5

type Numbers = { rounds: number; holdSeconds: number; perSecond: number }

interface Mode {
  /** One of these is said in health; none where there is nothing to say. */
  readonly codes: readonly string[]
  readonly traced: boolean
  begin(disk: Disk): Promise<void>
  end(disk: Disk): Promise<void>
}

interface Disk {
  readonly world: World
  readonly site: Site
  readonly strace: Strace
}

const ballastOf = ({ blobsDir }: Site) => join(blobsDir, `${OWN_PREFIX}ballast`)

const MODES: Readonly<Record<string, Mode>> = {
  full: {
    codes: ['STORAGE_FULL'],
    traced: false,
    begin: ({ site }) => fillUp(ballastOf(site)),
    end: ({ site }) => rm(ballastOf(site), { force: true }),
  },
  readOnly: {
    codes: ['STORAGE_ERROR'],
    traced: false,
    async begin({ world, site }) {
      await remount(world, site, 'ro')
      site.storeBroke.push(Date.now())
    },
    end: ({ world, site }) => remount(world, site, 'rw'),
  },
  ioError: {
    codes: ['STORAGE_ERROR'],
    traced: true,
    begin: ({ site, strace }) => strace.attach(pidsOf(site), 'error=EIO'),
    end: ({ strace }) => strace.detach(),
  },
  slow: {
    codes: [],
    traced: true,
    begin: ({ site, strace }) => strace.attach(pidsOf(site), 'delay_enter=100000'),
    end: ({ strace }) => strace.detach(),
  },
}

export const disk: Fault<Numbers> = {
  name: 'disk',
  title: `the disk of a secondary is ${Object.keys(MODES).join(', ')}, while blobs arrive`,
  full: { rounds: 1, holdSeconds: 30, perSecond: 50 },
  least: { rounds: 1, holdSeconds: 12, perSecond: 10 },
  async run(world, size, chance) {
    const noMounts = await world.mounts.impossible()
    const noTraces = await straceImpossible()
    if (noMounts !== null) world.skip('disk', `no file system can be mounted here: ${noMounts}`)
    if (noMounts !== null) return []
    const modes = Object.keys(MODES).filter((name) => noTraces === null || !MODES[name]?.traced)
    if (noTraces !== null) world.skip('disk: ioError, slow', `strace cannot do it here: ${noTraces}`)
    const violations: string[] = []
    for (const site of world.secondaries) {
      const left = await world.settled(CAUGHT_UP_WITHIN_MS)
      if (left !== null) return [...violations, `before it ${left}`]
      const putBack = await moveToDisk(world, site)
      try {
        for (let round = 1; round <= size.rounds; round += 1) {
          for (const name of chance.shuffled(modes)) {
            const found = await misbehave(world, site, name, size, chance.stream(`${round} ${name}`))
            violations.push(...found.map((violation) => `${site.name}, ${name}: ${violation}`))
          }
        }
      } finally {
        const stuck = await world.settled(CAUGHT_UP_WITHIN_MS)
        if (stuck !== null) violations.push(`after it ${stuck}`)
        await putBack()
      }
    }
    return violations
  },
}

async function misbehave(
  world: World,
  site: Site,
  name: string,
  { holdSeconds, perSecond }: Numbers,
  chance: Parameters<World['host']['load']>[1],
): Promise<string[]> {
  const mode = MODES[name]
  if (!mode) throw new Error(`There is no way to misbehave called ${name}`)
  const violations: string[] = []
  const strace = new Strace()
  const ping = new Ping(`${site.nearUrls[0]}/ping`)
  const load = { perSecond, leastBytes: LEAST_BYTES, mostBytes: MOST_BYTES, replaced: 5, deleted: 5 }
  const idle = await ping.p99(BETWEEN_MS)
  const watch = new HealthWatch(world, site)
  const act = async () => {
    // What looks at each call of a process costs it time, whatever it answers: so before as during the fault.
    if (mode.traced) await strace.attach(pidsOf(site), null)
    await sleep(BETWEEN_MS)
    const well = await ping.p99(holdSeconds * 500)
    await strace.detach()
    const before = await retried(world)
    world.history.note({ kind: 'fault', fault: 'disk', what: `${name} on ${site.name}` })
    let ill = Number.NaN
    try {
      await mode.begin({ world, site, strace })
      const measuring = ping.p99(holdSeconds * 1000)
      for (const code of mode.codes) {
        const said = await watch.hears(code, NOTED_WITHIN_MS)
        if (said === null)
          violations.push(`health does not say ${code}: ${[...watch.heard.keys()].join(', ') || 'nothing'}`)
        else world.say(`${name}: ${said}`)
      }
      ill = await measuring
    } finally {
      await mode.end({ world, site, strace })
      world.history.note({ kind: 'fault', fault: 'disk', what: `${site.name} is as before` })
    }
    const limits = { perSecond, backWithinMs: BACK_WITHIN_MS }
    const backlog = await watchBacklog(world, limits)
    violations.push(...backlog.violations)
    world.say(
      `${name}: ${backlog.text}; the host's own route, p99: ${ms(idle)} idle, ${ms(well)} with the load, ${ms(ill)} meanwhile`,
    )
    if (ill > MOST_P99 * Math.max(idle, well))
      violations.push(`the host's own route took ${ms(ill)} (p99), and ${ms(well)} with a disk that is well`)
    const still = await watch.recovers(mode.codes, BACK_WITHIN_MS)
    if (still !== null) violations.push(`it is not well again: ${still}`)
    violations.push(...(await newlyRetried(world, before)))
    return violations
  }
  try {
    return await underLoad(world, load, chance.stream('load'), act)
  } finally {
    await strace.detach()
    await Promise.all([ping.close(), watch.close()])
  }
}

const ms = (value: number) => `${value.toFixed(1)} ms`

function pidsOf({ members }: Site): number[] {
  return members.flatMap(({ pid }) => pid ?? [])
}

/** Until nothing fits any more. */
async function fillUp(path: string): Promise<void> {
  const file = await open(path, 'a')
  try {
    for (let piece = MEBIBYTE; piece >= 512; ) {
      try {
        await file.write(Buffer.alloc(piece))
      } catch (reason) {
        if ((reason as NodeJS.ErrnoException).code !== 'ENOSPC') throw reason
        piece /= 2
      }
    }
    await file.sync()
  } finally {
    await file.close()
  }
}

/** The kernel refuses while a file is open for writing, which is so for a moment again and again. */
async function remount({ mounts }: World, { blobsDir }: Site, option: 'ro' | 'rw'): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await mounts.remount(blobsDir, option)
    } catch (reason) {
      if (attempt === REMOUNT_ATTEMPTS) throw reason
      await sleep(REMOUNT_AGAIN_MS)
    }
  }
}

/** All that the site has lies on a small ext4 file system of its own from now on, until it is put back. */
async function moveToDisk({ folder, mounts }: World, site: Site): Promise<() => Promise<void>> {
  const { blobsDir } = site
  const image = join(folder, `${site.name}.ext4`)
  const beside = join(folder, `${site.name}.disk`)
  const below = join(folder, `${site.name}.below`)
  const { stdout } = await run('du', ['--summarize', '--block-size=1', blobsDir])
  await writeFile(image, '')
  await truncate(image, 2 * Number.parseInt(stdout, 10) + ROOM_BYTES)
  await run('mkfs.ext4', ['-q', '-m', '0', image])
  for (const point of [beside, below]) await mkdir(point)
  await mounts.over(beside, ['-o', 'loop', image])
  await run('cp', ['--archive', `${blobsDir}/.`, beside])
  // What lies below the disk then can still be reached there.
  await mounts.over(below, ['--bind', dirname(blobsDir)])
  await mounts.over(blobsDir, ['--bind', beside])
  return async () => {
    const under = join(below, basename(blobsDir))
    await run('cp', ['--archive', '--no-clobber', `${beside}/.`, under])
    for (const key of await filesBelow(under)) {
      const isGone = await stat(join(beside, key)).then(
        () => false,
        () => true,
      )
      if (isGone) await rm(join(under, key))
    }
    for (const point of [blobsDir, below, beside]) await mounts.off(point)
    for (const point of [below, beside]) await rm(point, { recursive: true })
    await rm(image)
  }
}
