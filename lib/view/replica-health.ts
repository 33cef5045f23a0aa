import type { Knex } from 'knex'
import { run } from '../databases.ts'
import { type Finding, finding } from './finding.ts'

/** A replica without a WAL receiver counts as cut off when it has replayed nothing for so long: some are fed by an archive. */
const SILENT_AFTER_S = 60

export interface ReplicaState {
  readonly recovering: boolean
  readonly logical: boolean
  readonly receiving: boolean
  /** Since the last transaction that was replayed; null where none was. */
  readonly replayedAgeSeconds: number | null
}

/** Whether the main database of a secondary follows the primary's. */
export async function checkReplica(main: Knex): Promise<Finding[]> {
  const { rows } = await run<{ rows: ReplicaState[] }>(
    main,
    `select pg_is_in_recovery() as recovering,
       exists (select from pg_stat_subscription where subname is not null) as logical,
       exists (select from pg_stat_wal_receiver) as receiving,
       extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::float8 as "replayedAgeSeconds"`,
  )
  return rows[0] ? judgeReplica(rows[0]) : []
}

export function judgeReplica({ recovering, logical, receiving, replayedAgeSeconds }: ReplicaState): Finding[] {
  if (!recovering)
    return [
      logical
        ? finding('LOGICAL_REPLICA', 'The main database of this secondary is a logical replica')
        : finding('NOT_IN_RECOVERY', 'The main database of this secondary is writable: it is not a streaming replica'),
    ]
  if (receiving || (replayedAgeSeconds !== null && replayedAgeSeconds <= SILENT_AFTER_S)) return []
  const since = replayedAgeSeconds === null ? '' : ` for ${Math.round(replayedAgeSeconds)} seconds`
  const message = `The main database of this secondary does not appear to be replicating: it has replayed nothing${since}`
  return [finding('REPLICATION_NOT_WORKING', message)]
}
