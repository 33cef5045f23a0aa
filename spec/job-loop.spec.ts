import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { GeoError } from '../lib/errors.ts'
import { type Job, JobLoops } from '../lib/job-loop.ts'
import type { Role } from '../lib/site.ts'
import { ManualClock } from '../lib/testing/manual-clock.ts'
import { recordingLogger } from './support/recording-logger.ts'
import { until } from './support/until.ts'

let clock: ManualClock
let logger: ReturnType<typeof recordingLogger>
let role: Role
let loops: JobLoops
let runs: number

beforeEach(() => {
  clock = new ManualClock()
  logger = recordingLogger()
  role = 'primary'
  loops = new JobLoops(clock, logger, () => role)
  runs = 0
})
afterEach(() => loops.stop())

function start(run: () => Promise<boolean>, settings: Partial<Job> = {}): void {
  const counted = () => {
    runs += 1
    return run()
  }
  loops.start([{ name: 'job', role: 'any', idleMs: 250, run: counted, ...settings }])
}

const resting = (restMs: number) => until(() => clock.sleepingMs.includes(restMs))

describe('A job', () => {
  it('rests when it finds nothing to do, and no longer than it said', async () => {
    start(async () => false)
    await resting(250)
    expect(runs).toBe(1)
    clock.advance(249)
    await turn()
    expect(runs).toBe(1)
    clock.advance(1)
    await until(() => runs === 2)
  })

  it('runs again at once while there is more, and lets others take their turn', async () => {
    let turns = 0
    const count = async () => {
      while (runs < 5) {
        turns += 1
        await turn()
      }
    }
    const counting = count()
    start(async () => runs < 5)
    await resting(250)
    await counting
    expect(runs).toBe(5)
    expect(turns).toBeGreaterThan(2)
  })

  it('is woken from its rest', async () => {
    start(async () => false)
    await resting(250)
    loops.wake('job')
    loops.wake('unknown')
    await until(() => runs === 2)
  })

  it('runs once more when it is woken while it runs', async () => {
    const first = Promise.withResolvers<boolean>()
    start(() => (runs === 1 ? first.promise : Promise.resolve(false)))
    await until(() => runs === 1)
    loops.wake('job')
    loops.wake('job')
    first.resolve(false)
    await until(() => runs === 2)
    await resting(250)
    expect(runs).toBe(2)
  })

  it('runs only while the site has its role', async () => {
    role = 'unknown'
    start(async () => false, { role: 'secondary' })
    await resting(250)
    expect(runs).toBe(0)
    role = 'secondary'
    clock.advance(250)
    await until(() => runs === 1)
  })
})

describe('A job that fails', () => {
  it('is tried again after ever longer rests, and begins anew when it works', async () => {
    let broken = true
    start(async () => {
      if (broken) throw new Error('no database')
      return false
    })
    for (const restMs of [500, 1000, 2000, 4000, 8000, 10_000, 10_000]) {
      await resting(restMs)
      if (restMs < 10_000) clock.advance(restMs)
      else {
        const before = runs
        clock.advance(restMs)
        await until(() => runs > before)
      }
    }
    broken = false
    await resting(10_000)
    clock.advance(10_000)
    await resting(250)
    broken = true
    clock.advance(250)
    await resting(500)
  })

  it('is known by its failure until it works', async () => {
    let broken = true
    const failure = new GeoError('DATABASE_UNAVAILABLE', 'no database')
    start(async () => {
      if (broken) throw failure
      return false
    })
    await resting(500)
    expect(loops.failures).toEqual([{ job: 'job', error: failure }])
    broken = false
    clock.advance(500)
    await resting(250)
    expect(loops.failures).toEqual([])
  })

  it('is logged when it begins to fail, then once a minute', async () => {
    start(async () => {
      throw new Error('no database')
    })
    await resting(500)
    expect(logger.codes()).toEqual(['JOB_FAILING'])
    for (let elapsedMs = 0; elapsedMs < 59_000; elapsedMs += 1000) {
      clock.advance(1000)
      await turn()
    }
    expect(logger.codes()).toHaveLength(1)
    clock.advance(1000)
    await until(() => runs > 5)
    clock.advance(10_000)
    await until(() => logger.codes().length === 2)
  })

  it('does not end the loops of others', async () => {
    let others = 0
    loops.start([
      { name: 'broken', role: 'any', idleMs: 250, run: () => Promise.reject(new Error('no')) },
      {
        name: 'whole',
        role: 'any',
        idleMs: 250,
        run: async () => {
          others += 1
          return false
        },
      },
    ])
    await resting(250)
    clock.advance(250)
    await until(() => others === 2)
  })
})

describe('stop', () => {
  it('ends a rest at once, and nothing runs after it', async () => {
    start(async () => false)
    await resting(250)
    await loops.stop()
    clock.advance(10_000)
    await turn()
    expect(runs).toBe(1)
    expect(clock.sleepingMs).toEqual([])
  })

  it('waits for the run that is going on, and tells it', async () => {
    const running = Promise.withResolvers<boolean>()
    let signal: AbortSignal | undefined
    loops.start([
      {
        name: 'job',
        role: 'any',
        idleMs: 250,
        run: (given) => {
          signal = given
          return running.promise
        },
      },
    ])
    let stopped = false
    const stopping = loops.stop().then(() => {
      stopped = true
    })
    await turn()
    expect([stopped, signal?.aborted]).toEqual([false, true])
    running.resolve(true)
    await stopping
    expect(stopped).toBe(true)
  })

  it('takes the failure of a run that it cut as no failure', async () => {
    const running = Promise.withResolvers<boolean>()
    start(() => running.promise)
    await until(() => runs === 1)
    const stopping = loops.stop()
    running.reject(new Error('cut'))
    await stopping
    expect(logger.codes()).toEqual([])
    expect(loops.failures).toEqual([])
  })
})

describe('Loops that drain', () => {
  it('begin no new runs, wait for the one that goes on, and leave upkeep alone', async () => {
    const running = Promise.withResolvers<boolean>()
    let upkeep = 0
    const beat = async () => {
      upkeep += 1
      return false
    }
    loops.start([
      { name: 'job', role: 'any', idleMs: 250, run: () => running.promise },
      { name: 'heartbeat', role: 'any', idleMs: 5000, upkeep: true, run: beat },
    ])
    await resting(5000)
    let drained = false
    const draining = loops.drain().then(() => {
      drained = true
    })
    await turn()
    expect(drained).toBe(false)
    // There is more to do, and another process will do it.
    running.resolve(true)
    await draining
    clock.advance(5000)
    await until(() => upkeep === 2)
    expect(clock.sleepingMs).not.toContain(250)
  })

  it('are not started again', async () => {
    await loops.drain()
    start(async () => false)
    await turn()
    expect(runs).toBe(0)
  })
})

it('A job with a longest rest of its own is tried again sooner', async () => {
  start(() => Promise.reject(new Error('no')), { longestRetryMs: 1000 })
  for (const restMs of [500, 1000, 1000]) {
    const before = runs
    await resting(restMs)
    clock.advance(restMs)
    await until(() => runs > before)
  }
})

it('Jobs that run already are not started twice', async () => {
  const jobs: Job[] = [
    {
      name: 'job',
      role: 'any',
      idleMs: 250,
      run: async () => {
        runs += 1
        return false
      },
    },
  ]
  loops.start(jobs)
  loops.start(jobs)
  await resting(250)
  expect(runs).toBe(1)
})
