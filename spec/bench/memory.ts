import { setTimeout as sleep } from 'node:timers/promises'
import type { ForkedSite } from '../support/forked-site.ts'
import { forgetMostResident, mostResidentMib, residentMib } from './cpu.ts'
import { type Bench, type Measurement, scaled } from './measurement.ts'
import { replicate } from './replicate.ts'
import { openSites } from './sites.ts'

const SMALL = { count: 10_000, bytes: 10 * 1024 }
const MEDIUM = { count: 200, bytes: 1024 * 1024 }
const LARGE = { count: 1, bytes: 2 * 1024 ** 3 }
const WARM_UP = 2000
const IDLE_S = 10
const REACH_MIB = 150

export const memory: Measurement = {
  title:
    'the most memory above idle that each process holds while small, medium and large blobs are replicated and verified again',

  async measure(bench: Bench) {
    const sites = await openSites(bench)
    const loads = [SMALL, MEDIUM, LARGE].map(({ count, bytes }) =>
      count > 1 ? { count: scaled(bench, count), bytes } : { count, bytes: scaled(bench, bytes) },
    )
    try {
      // Idle is a process that has worked before: its threads and connections are up.
      const idleMib: Record<string, number> = {}
      const mostMib: Record<string, number> = {}
      const both = [sites.primary, sites.secondary]
      await replicate(sites, { count: scaled(bench, WARM_UP), bytes: SMALL.bytes })
      for (const site of both) idleMib[site.name] = await meanMib(site)
      for (const site of both) forgetMostResident(pidOf(site))
      for (const load of loads) {
        await replicate(sites, load)
        bench.say(
          `${load.count} of ${load.bytes} bytes: ${both.map((site) => `${site.name} ${mostResidentMib(pidOf(site)).toFixed(0)} MiB`).join(', ')}`,
        )
      }
      await sites.bulk({ action: 'reverify', type: 'widget' })
      await sites.untilAllVerified()
      for (const site of both) mostMib[site.name] = mostResidentMib(pidOf(site))
      const aboveMib = Object.fromEntries(
        both.map(({ name }) => [name, Math.round((mostMib[name] ?? 0) - (idleMib[name] ?? 0))]),
      )
      const most = Math.max(...Object.values(aboveMib))
      return {
        ratio: null,
        reach: `≤ ${REACH_MIB} MiB above idle`,
        measured: Object.entries(aboveMib)
          .map(([name, mib]) => `${name} ${mib} MiB`)
          .join(', '),
        reached: most <= REACH_MIB,
        figures: { aboveMib, idleMib: rounded(idleMib), mostMib: rounded(mostMib) },
      }
    } finally {
      await sites.close()
    }
  },
}

function pidOf({ name, pid }: ForkedSite): number {
  if (pid === undefined) throw new Error(`${name} is not running`)
  return pid
}

async function meanMib(site: ForkedSite): Promise<number> {
  let sum = 0
  for (let second = 0; second < IDLE_S; second += 1) {
    await sleep(1000)
    sum += residentMib(pidOf(site)) / IDLE_S
  }
  return sum
}

const rounded = (values: Record<string, number>) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Math.round(value)]))
