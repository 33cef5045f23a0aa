import { deliveries, recordDeliveries } from '../support/deliveries.ts'
import { SECONDARY } from '../support/two-sites.ts'
import { startWorker, stopWorkers } from '../support/worker-processes.ts'
import { cpuSecondsOfMachine } from './cpu.ts'
import { type Bench, type Measurement, scaled } from './measurement.ts'
import { replicate } from './replicate.ts'
import { median, sampleOf } from './rounds.ts'
import { openSites } from './sites.ts'
import { type SlowNetwork, slowNetwork } from './slow-network.ts'

const ONE_WAY_MS = 10
const COUNTS = [1, 2, 4] as const
const CAPACITY_PER_PROCESS = 2
// Each has a request of its own, so that waiting for the network is what takes the time.
const BLOBS = 400
const BYTES = 300 * 1024
const REACH = { 2: 1.8, 4: 3 } as const

export const processes: Measurement = {
  title: `1, 2 and 4 processes of the secondary with ${2 * ONE_WAY_MS} ms of network delay, capacity raised with them, against 1`,

  async measure(bench: Bench) {
    let network: SlowNetwork | null = null
    const sites = await openSites(bench, {
      secondaryEnvironment: { WORK: 'false' },
      between: async (primaryUrl) => {
        network = await slowNetwork(primaryUrl, ONE_WAY_MS)
        return network.url
      },
    })
    const { main, tracking } = sites.databases
    try {
      await recordDeliveries(tracking)
      const count = scaled(bench, BLOBS)
      const seconds: Record<number, number[]> = { 1: [], 2: [], 4: [] }
      const busy: Record<number, number[]> = { 1: [], 2: [], 4: [] }
      for (let round = 0; round <= bench.rounds; round += 1) {
        for (const number of round % 2 === 0 ? COUNTS : COUNTS.toReversed()) {
          await main('geo_nodes')
            .where({ name: SECONDARY })
            .update({ files_max_capacity: number * CAPACITY_PER_PROCESS })
          await sites.databases.caughtUp()
          const workers = await Promise.all(Array.from({ length: number }, () => startWorker(sites.secondary)))
          try {
            const cpuBefore = cpuSecondsOfMachine()
            const beganMs = performance.now()
            const took = await replicate(sites, { count, bytes: BYTES })
            const share = (cpuSecondsOfMachine() - cpuBefore) / ((performance.now() - beganMs) / 1000)
            bench.say(`${round === 0 ? 'warm-up' : `round ${round}`}: ${number} processes ${took.toFixed(2)} s`)
            if (round > 0) {
              seconds[number]?.push(took)
              busy[number]?.push(share)
            }
          } finally {
            // In good order: the leases of one that is killed, as on following the events, live on for twenty seconds.
            await stopWorkers(workers)
          }
        }
      }
      const delivered = await deliveries(tracking)
      if (delivered.mostOften !== 1) throw new Error(`A blob was delivered ${delivered.mostOften} times`)
      const one = median(seconds[1] ?? [])
      const ratios = { 2: one / median(seconds[2] ?? []), 4: one / median(seconds[4] ?? []) }
      const reached = ratios[2] >= REACH[2] && ratios[4] >= REACH[4]
      const figures = Object.fromEntries(
        COUNTS.map((number) => [
          `of${number}`,
          { ...sampleOf(seconds[number] ?? []), coresBusy: Number(median(busy[number] ?? []).toFixed(2)) },
        ]),
      )
      return {
        ratio: Number(ratios[4].toFixed(3)),
        reach: `≥ ${REACH[2]} at 2, ≥ ${REACH[4]} at 4`,
        measured: `${ratios[2].toFixed(2)} at 2, ${ratios[4].toFixed(2)} at 4`,
        reached,
        figures: { ratioOf2: Number(ratios[2].toFixed(3)), blobs: count, bytes: BYTES, ...figures },
      }
    } finally {
      await sites.close()
      ;(network as SlowNetwork | null)?.stop()
    }
  },
}
