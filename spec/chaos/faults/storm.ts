import { CAPACITY } from '../world.ts'

/** Each slot of a site finds out by itself, and once more until that is seen; besides, what else is asked for, and a try now and then. */
const AT_ONCE = 2 * CAPACITY
const PER_SECOND = 5

/** What is to be said of the requests that came in that time of a site that gets nothing: more is a storm of retries. */
export function storm(requests: number, seconds: number, when: string): string[] {
  const allowed = Math.round(AT_ONCE + PER_SECOND * seconds)
  return requests > allowed ? [`${requests} requests came ${when}; allowed are ${allowed}`] : []
}
