import { randomInt } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { temporaryFolder } from '../../lib/testing/postgres/account.ts'
import { startCluster } from '../../lib/testing/postgres/cluster.ts'
import { createDatabase, databaseUrl } from '../../lib/testing/postgres/database-server.ts'
import { migrate } from '../support/migrate.ts'
import { report } from './report.ts'
import { simulate } from './simulate.ts'
import { openWorld } from './world.ts'

const FAST_SETTINGS = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off', autovacuum_naptime: '5s' }
const PROGRESS_EVERY = 100

interface Options {
  seed: number
  runs: number
  size: number
  path?: string
  replay?: string
  shrink: boolean
}

const whole = (text: string): number => {
  const value = Number(text)
  if (!Number.isInteger(value)) throw new InvalidArgumentError('must be a whole number')
  return value
}

const options = new Command('npm run sim --')
  .description('Runs random sequences of commands against a model and two real sites, and checks the promises')
  .option('--seed <number>', 'which sequences; printed at the end', whole, randomInt(2 ** 31))
  .option('--runs <count>', 'how many sequences', whole, 300)
  .option('--size <count>', 'the longest sequence', whole, 25)
  .option('--path <path>', 'begin with the case that an earlier failure printed')
  .option('--replay <path>', 'the commands of that case that were run')
  .option('--no-shrink', 'show the first failing sequence as it is')
  .parse()
  .opts<Options>()

async function main(): Promise<number> {
  const folder = await temporaryFolder('geo-sim-databases-')
  const cluster = await startCluster({ dir: join(folder, 'cluster'), settings: FAST_SETTINGS })
  try {
    for (const name of ['main', 'tracking'] as const) {
      await createDatabase(cluster.url(), `sim_${name}`)
      await migrate(databaseUrl(cluster.url(), `sim_${name}`), name)
    }
    const world = await openWorld({ mainUrl: cluster.url('sim_main'), trackingUrl: cluster.url('sim_tracking') })
    try {
      const beganMs = performance.now()
      const onSequence = (done: number) => {
        if (done % PROGRESS_EVERY === 0) console.error(`${done} sequences`)
      }
      const result = await simulate(world, { ...options, onSequence })
      console.log(report(result, options, performance.now() - beganMs))
      return result.failure ? 1 : 0
    } finally {
      await world.close()
    }
  } finally {
    await cluster.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

process.exitCode = await main()
