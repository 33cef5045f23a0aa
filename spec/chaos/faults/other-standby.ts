import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../support/until.ts'
import { rowsOf, type Server } from '../databases.ts'
import type { World } from '../world.ts'
import { backup } from './remake-replica.ts'

const DELAY = 'recovery_min_apply_delay'
/** So long the site sees what it has seen before: long enough that all that reads has read. */
const SEEN_MS = 5000
const STREAMING = "select 1 from pg_stat_wal_receiver where status = 'streaming'"
/** Where a standby is, as a number: it can be compared. */
const REPLAYED = "select (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::text as bytes"

/** Another standby of the same primary, which streams already and is so many seconds behind, takes the place of each replica. */
export async function toOtherStandby({ databases, say }: World, behindSeconds: number): Promise<void> {
  for (const { replica } of databases.secondaries) {
    const former = replica.dir
    const dir = `${former}-other`
    await backup(databases.primary, dir)
    const other = await replica.beside(dir)
    try {
      await other.set(DELAY, `${behindSeconds}s`)
      await until(async () => (await rowsOf(other.url, STREAMING)).length > 0)
      await sleep(behindSeconds * 1000)
      const before = await replayedBy(replica)
      await replica.replaceBy(other)
      say(`the other standby is ${before - (await replayedBy(replica))} bytes of WAL behind the one before it`)
    } finally {
      await other.stop()
    }
    await sleep(SEEN_MS)
    await replica.set(DELAY, null)
    await rm(former, { recursive: true })
  }
}

async function replayedBy({ url }: Server): Promise<bigint> {
  const [row] = await rowsOf<{ bytes: string }>(url, REPLAYED)
  return BigInt(row?.bytes ?? 0)
}
