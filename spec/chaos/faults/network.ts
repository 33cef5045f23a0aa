import { setTimeout as sleep } from 'node:timers/promises'
import type { Member } from '../member.ts'
import type { Seeded } from '../seeded.ts'
import type { World } from '../world.ts'
import { backlogOf, FALLS_AT_LEAST, watchBacklog } from './backlog.ts'
import type { Fault } from './fault.ts'
import { retried } from './retries.ts'
import { underLoad } from './under-load.ts'

const LEAST_BYTES = 1024
const MOST_BYTES = 64 * 1024
const SLOW = { delayMs: 50, loss: 0.01 }
const BETWEEN_MS = 5000
/** Work begins again so soon after the network is back: a lease of a lost holder takes no longer either. */
const BACK_WITHIN_MS = 30_000
/** While it is away, and until work begins again: what was open, and a probe now and then. */
const REQUESTS_PER_SECOND = 5
const HEALTH_EVERY_MS = 500

type Numbers = { outages: number; outageSeconds: number; slowSeconds: number; perSecond: number }

export const network: Fault<Numbers> = {
  name: 'network',
  title: 'the network between the sites is cut without a word, then slow (50 ms, 1 % lost), while blobs arrive',
  full: { outages: 5, outageSeconds: 60, slowSeconds: 60, perSecond: 50 },
  least: { outages: 1, outageSeconds: 20, slowSeconds: 15, perSecond: 20 },
  async run(world, size, chance) {
    const { perSecond, outages } = size
    const load = { perSecond, leastBytes: LEAST_BYTES, mostBytes: MOST_BYTES }
    const violations: string[] = []
    await underLoad(world, load, chance.stream('load'), async () => {
      await sleep(BETWEEN_MS)
      for (let number = 1; number <= outages; number += 1) {
        const found = await outage(world, size, chance)
        violations.push(...found.map((violation) => `outage ${number}: ${violation}`))
        await sleep(BETWEEN_MS)
      }
      const found = await slowness(world, size)
      violations.push(...found.map((violation) => `slow: ${violation}`))
    })
    return violations
  },
}

async function outage(world: World, { outageSeconds, perSecond }: Numbers, chance: Seeded): Promise<string[]> {
  const violations: string[] = []
  const counted = countedRetries(world)
  const said = new Map(members(world).map((member) => [member, member.output.length]))
  const alarm = watchAlarm(world)
  world.front.order({ type: 'reset' })
  // Not at the same moment of anything each time.
  await sleep(chance.between(0, 1000))
  note(world, 'the network is cut')
  await world.cut()
  try {
    await sleep(outageSeconds * 1000)
  } finally {
    await world.heal()
    note(world, 'the network is back')
  }
  const backlog = await watchBacklog(world, { perSecond, backWithinMs: BACK_WITHIN_MS })
  world.say(backlog.text)
  violations.push(...backlog.violations)
  if (backlog.fallsPerSecond < FALLS_AT_LEAST * perSecond)
    violations.push(`the backlog fell by ${backlog.fallsPerSecond.toFixed(0)} a second, while ${perSecond} arrived`)
  const allowed = REQUESTS_PER_SECOND * (outageSeconds + backlog.backAfterMs / 1000)
  if (backlog.requestsUntilBack > allowed)
    violations.push(
      `${backlog.requestsUntilBack} requests reached the primary while it was away; allowed were ${Math.round(allowed)}`,
    )
  violations.push(...(await counted()))
  violations.push(...(await alarm()))
  for (const [member, from] of said) {
    const times = member.output.slice(from).split('transfers pause').length - 1
    if (times > 1) violations.push(`${member.name} says ${times} times that transfers pause`)
  }
  return violations
}

/** Slow is not away: nothing is counted, said once at most, and what waits is made up for as soon as it is over. */
async function slowness(world: World, { slowSeconds, perSecond }: Numbers): Promise<string[]> {
  const counted = countedRetries(world)
  const alarm = watchAlarm(world)
  note(world, 'the network is slow')
  await world.slow(SLOW)
  const before = await backlogOf(world)
  try {
    await sleep(slowSeconds * 1000)
  } finally {
    await world.slow(null)
    note(world, 'the network is as before')
  }
  const after = await backlogOf(world)
  const backlog = await watchBacklog(world, { perSecond, backWithinMs: BACK_WITHIN_MS })
  world.say(`on the slow network the backlog went from ${before} to ${after}; ${backlog.text}`)
  return [...backlog.violations, ...(await counted()), ...(await alarm())]
}

function members(world: World): readonly Member[] {
  return world.secondaries.flatMap((site) => site.members)
}

/** Looks all the time, for a row that gets through forgets what it has counted. Those that counted before do not matter. */
function countedRetries(world: World): () => Promise<string[]> {
  const found = new Map<string, string>()
  let before: ReadonlySet<string> | null = null
  let ended = false
  const watching = (async () => {
    while (!ended) {
      const now = await retried(world)
      before ??= new Set(now.keys())
      for (const [name, { text }] of now) if (!before.has(name)) found.set(name, text)
      await sleep(HEALTH_EVERY_MS)
    }
  })()
  return async () => {
    ended = true
    await watching
    return [...found].map(([name, failure]) => `${name} counts a retry for an unreachable primary: ${failure}`)
  }
}

/**
 * Looks at what each secondary says of its health until it is called, which is when all should be well. An alarm comes once, if at
 * all, and ends once: one that comes and goes with every look would wake somebody each time.
 */
function watchAlarm(world: World): () => Promise<string[]> {
  const beganMs = performance.now()
  let ended = false
  const alarms = new Map(
    world.secondaries.map((site) => [site, { now: new Set<string>(), rises: new Map<string, number>(), told: [''] }]),
  )
  const watching = (async () => {
    while (!ended) {
      for (const [site, seen] of alarms) {
        const { status, findings } = await world.health(site)
        const now = new Set(status === 'healthy' ? [] : findings.map(({ code }) => code))
        for (const code of now) if (!seen.now.has(code)) seen.rises.set(code, (seen.rises.get(code) ?? 0) + 1)
        seen.now = now
        const named = [...now].join('+') || 'healthy'
        if (seen.told.at(-1)?.endsWith(` ${named}`) !== true)
          seen.told.push(`${((performance.now() - beganMs) / 1000).toFixed(0)} s ${named}`)
      }
      await sleep(HEALTH_EVERY_MS)
    }
  })()
  return async () => {
    await sleep(BETWEEN_MS)
    ended = true
    await watching
    return [...alarms].flatMap(([site, { now, rises, told }]) => {
      world.say(`${site.name}: ${told.slice(1).join(', ')}`)
      const again = [...rises].filter(([, times]) => times > 1)
      return [
        ...[...now].map((code) => `${site.name} still says ${code}`),
        ...again.map(([code, times]) => `${site.name} says ${code} ${times} times, well in between`),
      ]
    })
  }
}

function note(world: World, what: string): void {
  world.history.note({ kind: 'fault', fault: 'network', what })
}
