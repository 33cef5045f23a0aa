import type { Knex } from 'knex'
import { stateTableOf } from '../../../blob/primary-checksum.ts'
import type { Replicable } from '../../../blob/replicable.ts'
import { bounded, run } from '../../../databases.ts'
import { SYNC_STATE } from '../../../registry/sync-state.ts'
import { typesToHash } from '../../../verification/primary-state.ts'
import { VERIFICATION_STATE } from '../../../verification/verification-state.ts'
import { type Check, no, skipped, yes } from '../outcome.ts'
import type { TypeCheckSources } from './sources.ts'

const LATELY_SECONDS = 600

/** `waiting`: the types among the given ones that have something to hash now. */
interface Verifying {
  readonly db: Knex
  readonly table: string
  readonly verified: string
  waiting(): Promise<readonly Replicable[]>
}

/** Whether anybody hashes what is to be hashed. */
export function verificationRuns(sources: TypeCheckSources, replicable: Replicable, work: Verifying): Check {
  const { db, table, verified } = work
  return {
    name: `The verification of ${replicable.names.plural} runs`,
    async ask() {
      if (!sources.gate.replicationEnabled(replicable)) return skipped('The flag is off here')
      const { rows } = await run<{ rows: { at: string; ageSeconds: number }[] }>(
        db,
        `select to_char(verified_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as at,
           extract(epoch from clock_timestamp() - verified_at)::float8 as "ageSeconds"
         from ?? where ${verified} and verified_at is not null order by verified_at desc limit 1`,
        [table],
      )
      const [last] = rows
      const when = last ? `the last at ${last.at}` : 'none so far'
      if ((await work.waiting()).length === 0) return yes(`nothing waits, ${when}`)
      if (last && last.ageSeconds <= LATELY_SECONDS) return yes(when)
      return no(
        `Some wait, and none was verified in the last ten minutes (${when})`,
        'Look whether a process of this site works: start `npx geo work`, or leave `work` on.',
        `Look into verification_max_capacity of this site, which is ${sources.sites.me?.verificationMaxCapacity ?? 'not known'}; what failed is told by: geo failures`,
      )
    },
  }
}

export function onPrimary(main: Knex, replicable: Replicable): Verifying {
  return {
    db: main,
    table: stateTableOf(replicable).table,
    verified: `verification_state = ${VERIFICATION_STATE.succeeded}`,
    waiting: () => bounded(main, (trx) => typesToHash(trx, [replicable])),
  }
}

/** `waiting`: as the verification of a secondary asks it. */
export function onSecondary(
  tracking: Knex,
  replicable: Replicable,
  waiting: (db: Knex, replicables: readonly Replicable[]) => Promise<readonly Replicable[]>,
): Verifying {
  return {
    db: tracking,
    table: replicable.names.registryTable,
    verified: `state = ${SYNC_STATE.synced} and verification_state = ${VERIFICATION_STATE.succeeded}`,
    waiting: () => waiting(tracking, [replicable]),
  }
}
