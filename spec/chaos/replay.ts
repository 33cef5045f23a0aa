import { rowsOf } from './databases.ts'
import type { World } from './world.ts'

/** Whether what the replicas receive is seen on them: paused, it waits there. */
export async function replay(world: Pick<World, 'databases'>, how: 'pause' | 'resume'): Promise<void> {
  for (const { replica } of world.databases.secondaries) await rowsOf(replica.url, `select pg_wal_replay_${how}()`)
}
