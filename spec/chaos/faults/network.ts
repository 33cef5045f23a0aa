import { setTimeout as sleep } from 'node:timers/promises'
import type { Member } from '../member.ts'
import { replay } from '../replay.ts'
import type { Seeded } from '../seeded.ts'
import { CAPACITY, type Sent, type World } from '../world.ts'
import { Alarms } from './alarms.ts'
import { backlogOf, fellSlowly, watchBacklog } from './backlog.ts'
import type { Fault } from './fault.ts'
import { Looking } from './looking.ts'
import { retried } from './retries.ts'
import { storm } from './storm.ts'
import { underLoad } from './under-load.ts'

const LEAST_BYTES = 1024
const MOST_BYTES = 64 * 1024
const SLOW = { delayMs: 50, loss: 0.01 }
const BETWEEN_MS = 5000
/** Work begins again so soon after the network is back: a lease of a lost holder takes no longer either. */
const BACK_WITHIN_MS = 30_000
/**
 * What a site may send to others that do not answer, in what its network can count: what was open when they went is sent again a few
 * times, with longer rests each time; besides, three processes try one transfer now and then, and report. A connection that is not
 * answered is asked for four times in ten seconds: all slots at once, without a rest, come to four packets a second and more.
 */
const SENT: Readonly<Record<Sent['unit'], { readonly atOnce: number; readonly perSecond: number }>> = Object.freeze({
  packets: { atOnce: 4 * CAPACITY, perSecond: 2 },
  connections: { atOnce: CAPACITY, perSecond: 1 },
})
/** As long as the alarm of an outage may take to come: a connection that is not answered, and what waits before it is tried. */
const ALARM_WITHIN_S = 30
/** How a secondary says that it is cut off; which of them comes first depends on what it does at that moment. */
const CUT_OFF: ReadonlySet<string> = new Set(['PRIMARY_UNREACHABLE', 'REPLICATION_NOT_WORKING', 'SITE_OFFLINE'])
/** Where no work is possible nothing falls behind: that is said of more that arrives than is done. */
const NEVER_CUT_OFF = ['FALLING_BEHIND']
const UNSEEN_MS = 5000
const LOOK_EVERY_MS = 500
/** On the slow network so many seconds' arrivals may wait at most. */
const SLOW_BEHIND_SECONDS = 10
const SLOW_LOOK_EVERY_MS = 1000

type Numbers = { outages: number; outageSeconds: number; slowSeconds: number; perSecond: number }

export const network: Fault<Numbers> = {
  name: 'network',
  title: 'the network between the sites is cut without a word, then slow (50 ms, 1 % lost), while blobs arrive',
  full: { outages: 5, outageSeconds: 60, slowSeconds: 60, perSecond: 50 },
  // As long as a request may hear nothing. After less, TCP asks again for what was sent into the outage when all else has come.
  least: { outages: 1, outageSeconds: 60, slowSeconds: 15, perSecond: 20 },
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
      const found = await slowness(world, size, chance)
      violations.push(...found.map((violation) => `slow: ${violation}`))
    })
    return violations
  },
}

async function outage(world: World, { outageSeconds, perSecond }: Numbers, chance: Seeded): Promise<string[]> {
  const violations: string[] = []
  const counted = countedRetries(world)
  const said = new Map(members(world).map((member) => [member, member.output.length]))
  const alarm = watchAlarm(world, isAlarmDue(world, outageSeconds), NEVER_CUT_OFF)
  // Not at the same moment of anything each time.
  await sleep(chance.between(0, 1000))
  // There is something to ask for when nobody answers: it has arrived before, and is seen after.
  await replay(world, 'pause')
  await sleep(UNSEEN_MS)
  note(world, 'the network is cut')
  await world.cut()
  try {
    const sent = await watchSent(world)
    await replay(world, 'resume')
    await sleep(outageSeconds * 1000)
    violations.push(...(await sent()))
    world.front.order({ type: 'reset' })
  } finally {
    await world.heal()
    note(world, 'the network is back')
  }
  const backlog = await watchBacklog(world, { perSecond, backWithinMs: BACK_WITHIN_MS })
  world.say(`${backlog.text}; ${backlog.requestsUntilBack} requests until then`)
  violations.push(...backlog.violations)
  violations.push(...fellSlowly(backlog.most, backlog.fallsPerSecond, perSecond))
  violations.push(...storm(backlog.requestsUntilBack, backlog.backAfterMs / 1000, 'at once when the primary was back'))
  violations.push(...(await counted()))
  violations.push(...(await alarm()))
  for (const [member, from] of said) {
    const times = member.output.slice(from).split('transfers pause').length - 1
    if (times > 1) violations.push(`${member.name} says ${times} times that transfers pause`)
  }
  return violations
}

/** A front that is silent still takes connections: of that one hears only when an answer is a minute late. */
function isAlarmDue({ network, skip }: World, outageSeconds: number): boolean {
  if (outageSeconds < ALARM_WITHIN_S) return false
  if (network.how === 'namespaces') return true
  skip('the alarm of an outage', 'without namespaces the primary is only silent')
  return false
}

/** What each secondary sends from now on until it is called, though nobody answers: no storm. */
async function watchSent(world: World): Promise<() => Promise<string[]>> {
  const beganMs = performance.now()
  const before = await Promise.all(world.secondaries.map((site) => world.sent(site)))
  return async () => {
    const violations: string[] = []
    const seconds = (performance.now() - beganMs) / 1000
    for (const [at, site] of world.secondaries.entries()) {
      const { unit, count } = await world.sent(site)
      const sent = count - (before[at]?.count ?? 0)
      const allowed = Math.round(SENT[unit].atOnce + SENT[unit].perSecond * seconds)
      const text = `${site.name} sent ${sent} ${unit} in the ${seconds.toFixed(0)} s in which it was cut off`
      world.say(text)
      if (sent > allowed) violations.push(`${text}; allowed are ${allowed}`)
    }
    return violations
  }
}

/** Slow is not away: nothing is counted, said once at most, and no more waits than that: it goes on. */
async function slowness(world: World, { slowSeconds, perSecond }: Numbers, chance: Seeded): Promise<string[]> {
  const violations: string[] = []
  const counted = countedRetries(world)
  const alarm = watchAlarm(world, false, [])
  note(world, 'the network is slow')
  await world.slow({ ...SLOW, seed: String(chance.next()) })
  let most = 0
  const looking = new Looking('the backlog', SLOW_LOOK_EVERY_MS, world.say, async () => {
    most = Math.max(most, await backlogOf(world))
  })
  try {
    await sleep(slowSeconds * 1000)
  } finally {
    await world.slow(null)
    note(world, 'the network is as before')
  }
  await looking.end()
  const allowed = SLOW_BEHIND_SECONDS * perSecond
  if (most > allowed) violations.push(`${most} blobs waited on the slow network; allowed are ${allowed}`)
  const backlog = await watchBacklog(world, { perSecond, backWithinMs: BACK_WITHIN_MS })
  world.say(`on the slow network (${world.slowedBy}) at most ${most} blobs waited; ${backlog.text}`)
  return [...violations, ...backlog.violations, ...(await counted()), ...(await alarm())]
}

function members(world: World): readonly Member[] {
  return world.secondaries.flatMap((site) => site.members)
}

/** Looks all the time, for a row that gets through forgets what it has counted. Those that counted before do not matter. */
function countedRetries(world: World): () => Promise<string[]> {
  const found = new Map<string, string>()
  let before: ReadonlySet<string> | null = null
  const looking = new Looking('counted retries', LOOK_EVERY_MS, world.say, async () => {
    const now = await retried(world)
    before ??= new Set(now.keys())
    for (const [name, { text }] of now) if (!before.has(name)) found.set(name, text)
  })
  return async () => {
    await looking.end()
    return [...found].map(([name, failure]) => `${name} counts a retry for an unreachable primary: ${failure}`)
  }
}

/**
 * Looks at what each secondary says of its health until it is called, which is when all should be well. `isDue`: an alarm must come;
 * `never`: these codes must not.
 */
function watchAlarm(world: World, isDue: boolean, never: readonly string[]): () => Promise<string[]> {
  const watches = world.secondaries.map((site) => {
    const alarms = new Alarms()
    const looking = new Looking(`the health of ${site.name}`, LOOK_EVERY_MS, world.say, async () => {
      const { status, findings } = await world.health(site)
      const codes = findings.map(({ code }) => code)
      if (status === 'healthy') alarms.note([], codes)
      else alarms.note(codes)
    })
    return { site, alarms, looking }
  })
  return async () => {
    await sleep(BETWEEN_MS)
    const violations: string[] = []
    for (const { site, alarms, looking } of watches) {
      await looking.end()
      world.say(`${site.name}: ${alarms.text}`)
      violations.push(...alarms.judge(isDue ? CUT_OFF : null, never).map((violation) => `${site.name} ${violation}`))
    }
    return violations
  }
}

function note(world: World, what: string): void {
  world.history.note({ kind: 'fault', fault: 'network', what })
}
