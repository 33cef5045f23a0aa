import type { Assembly } from '../assembly.ts'

/** The part of an assembly that is run by hand. */
export type Steppable = Pick<Assembly, 'jobs' | 'dispatchers' | 'sites'>

// More turns than any backlog of a spec needs: a job that always has more to do must not hang the caller.
const MOST_TURNS = 1000

/**
 * One bounded piece of a periodic job, and the batches that it started, to their ends. True: there may be more to do. A job of
 * another role does nothing.
 */
export async function step({ jobs, dispatchers, sites }: Steppable, jobName: string): Promise<boolean> {
  const job = jobs.find(({ name }) => name === jobName)
  if (!job) throw new Error(`There is no job "${jobName}": ${jobs.map(({ name }) => name).join(', ')}`)
  if (job.role !== 'any' && job.role !== sites.role) return false
  const all = Object.values(dispatchers)
  // Batches that ran before are someone else's to wait for.
  const idle = all.filter((dispatcher) => dispatcher.idle)
  const begunBefore = all.map((dispatcher) => dispatcher.begun)
  const more = await job.run(new AbortController().signal)
  await Promise.all(idle.map((dispatcher) => dispatcher.settled()))
  return more || all.some((dispatcher, position) => dispatcher.begun !== begunBefore[position])
}

// What these do goes by time alone, which stands still while a site settles.
const FIRST = [
  'sites',
  'heartbeat',
  'cut-expiring',
  'end-dead-leases',
  'sync-timeouts',
  'verification-timeouts',
  'reverify',
  'reverify-copies',
  'epoch',
  'prune-events',
]
// These say exactly whether they found work; others may say no and yet have made some for these.
const LAST = ['verify-primary', 'sync', 'remove', 'verify']

/**
 * Runs the jobs of a site that was not started, over and over, until none of them finds anything to do now. What waits for a
 * retry or for its interval stays as it is. `jobNames`: only these; default all. `stepOnce`: how one of them is run. False: there
 * was nothing to do.
 */
export async function settle(
  site: Steppable,
  jobNames: readonly string[] = site.jobs.map(({ name }) => name),
  stepOnce = (jobName: string) => step(site, jobName),
): Promise<boolean> {
  const among = (names: readonly string[]) => names.filter((name) => jobNames.includes(name))
  const between = jobNames.filter((name) => !FIRST.includes(name) && !LAST.includes(name))
  let found = false
  for (const name of among(FIRST)) found = (await untilIdle(() => stepOnce(name))) || found
  const worked = await untilIdle(async () => {
    let worked = false
    for (const name of [...between, ...among(LAST)]) worked = (await stepOnce(name)) || worked
    return worked
  })
  return found || worked
}

/** Whether the first turn found something. */
async function untilIdle(turn: () => Promise<boolean>): Promise<boolean> {
  let turns = 0
  for (; await turn(); turns += 1) {
    if (turns === MOST_TURNS) throw new Error(`The site still finds work after ${MOST_TURNS} turns of its jobs`)
  }
  return turns > 0
}
