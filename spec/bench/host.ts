import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { percentile } from '../../fixtures/demo/figures.ts'
import type { TurnMeasure } from '../../fixtures/widget-app/turn-probe.ts'
import { ForkedSite } from '../support/forked-site.ts'
import { killWorkers, startWorker } from '../support/worker-processes.ts'
import { type Bench, type Figure, type Measurement, scaled } from './measurement.ts'
import { replicate } from './replicate.ts'
import { median } from './rounds.ts'
import { type BenchSites, openSites } from './sites.ts'
import { type Visitor, visit } from './visitor.ts'

const COUNT = 10_000
const BYTES = 10 * 1024
const PER_S = 100
const IDLE_S = 20
const REACH = { same: 2, loop: 2, apart: 1.2 }

interface Round {
  /** p99 of the answers while blobs replicate, against while nothing happens. */
  readonly answers: number
  /** p99 of how late the event loop is, against a process that does nothing beside the same load. */
  readonly loop: number
  readonly idleMs: number
  readonly busyMs: number
}

export const host: Measurement = {
  title: `a trivial route of the host at ${PER_S} requests a second while ${COUNT} blobs replicate, against the same route idle`,

  async measure(bench: Bench) {
    const same = await measureHost(bench, 'same')
    const apart = await measureHost(bench, 'apart')
    const [answers, loop, answersApart] = [
      median(same.map((round) => round.answers)),
      median(same.map((round) => round.loop)),
      median(apart.map((round) => round.answers)),
    ]
    return {
      ratio: Number((1 / answers).toFixed(3)),
      reach: `p99 ≤ ${REACH.same} × idle, event-loop delay ≤ ${REACH.loop} ×; work in a process of its own: ≤ ${REACH.apart} ×`,
      measured: `p99 ${answers} × idle, event-loop delay ${loop} ×; apart: ${answersApart} ×`,
      reached: answers <= REACH.same && loop <= REACH.loop && answersApart <= REACH.apart,
      figures: { answers, loop, answersApart, same: told(same), apart: told(apart) },
    }
  },
}

/** `apart`: the work is done by `geo work` of either site, and the servers serve alone. */
async function measureHost(bench: Bench, where: 'same' | 'apart'): Promise<Round[]> {
  const sites = await openSites(bench, where === 'apart' ? { environment: { WORK: 'false' } } : {})
  const both = [sites.primary, sites.secondary]
  const workers = where === 'apart' ? await Promise.all(both.map((site) => startWorker(site))) : []
  const idle = await startIdle()
  const visitors = await Promise.all(both.map((site) => visit(`${site.url}/ping`, PER_S)))
  const rounds: Round[] = []
  try {
    for (let round = 0; round <= bench.rounds; round += 1) {
      const measured = await oneRound(bench, sites, visitors, idle)
      bench.say(`${where}, ${round === 0 ? 'warm-up' : `round ${round}`}: ${JSON.stringify(measured)}`)
      if (round > 0) rounds.push(measured)
    }
    return rounds
  } finally {
    for (const visitor of visitors) visitor.stop()
    await idle.stop()
    await killWorkers(workers)
    await sites.close()
  }
}

async function oneRound(
  bench: Bench,
  sites: BenchSites,
  visitors: readonly Visitor[],
  idle: Pick<ForkedSite, 'takeTurns'>,
): Promise<Round> {
  const both = [sites.primary, sites.secondary]
  const takeTimes = () => Promise.all(visitors.map((visitor) => visitor.take()))
  const takeTurns = () => Promise.all([...both, idle].map((site) => site.takeTurns()))
  await takeTimes()
  await sleep(IDLE_S * 1000 * Math.min(1, bench.scale * 10))
  const idleTimes = await takeTimes()
  let busyTimes: number[][] = []
  let turns: TurnMeasure[] = []
  await replicate(
    sites,
    { count: scaled(bench, COUNT), bytes: BYTES },
    {
      onCommit: () => Promise.all([takeTimes(), takeTurns()]),
      onVerified: async () => {
        busyTimes = await takeTimes()
        turns = await takeTurns()
      },
    },
  )
  const worst = both.map((_, position) => {
    const [idleMs, busyMs] = [idleTimes, busyTimes].map((times) => percentile(times[position] ?? [], 0.99))
    return { idleMs: idleMs ?? 0, busyMs: busyMs ?? 0 }
  })
  const [first] = worst.toSorted((left, right) => right.busyMs / right.idleMs - left.busyMs / left.idleMs)
  if (!first) throw new Error('There are no answers')
  const [primary = 0, secondary = 0, beside = 0] = turns.map((turn) => turn.eventLoopDelayP99Ms)
  return {
    answers: Number((first.busyMs / first.idleMs).toFixed(2)),
    loop: Number((Math.max(primary, secondary) / Math.max(beside, 0.1)).toFixed(2)),
    idleMs: Number(first.idleMs.toFixed(2)),
    busyMs: Number(first.busyMs.toFixed(2)),
  }
}

/** A process that does nothing but measure how late its event loop is. */
async function startIdle(): Promise<ForkedSite> {
  const program = fileURLToPath(new URL('idle.ts', import.meta.url))
  const idle = new ForkedSite({ name: 'idle', url: '', blobsDir: '', environment: {}, program })
  await idle.start()
  return idle
}

function told(rounds: readonly Round[]): Figure {
  const of = (field: keyof Round) => rounds.map((round) => round[field])
  return { answers: of('answers'), loop: of('loop'), idleMs: of('idleMs'), busyMs: of('busyMs') }
}
