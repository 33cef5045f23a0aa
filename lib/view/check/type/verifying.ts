import type { Knex } from 'knex'
import { stateTableOf } from '../../../blob/primary-checksum.ts'
import type { Replicable } from '../../../blob/replicable.ts'
import { wantedIds } from '../../../blob/source.ts'
import { bounded, run } from '../../../databases.ts'
import { isoSeconds } from '../../../iso-time.ts'
import { SYNC_STATE } from '../../../registry/sync-state.ts'
import { VERIFICATION_STATE as V } from '../../../verification/verification-state.ts'
import { type Check, no, skipped, yes } from '../outcome.ts'
import type { TypeCheckSources } from './sources.ts'

const LATELY_SECONDS = 600
/** Of those that may wait no more are looked at: `available` can leave out many that never will be hashed. */
const MOST_LOOKED_AT = 1000

/** Where a site keeps what it knows of its files. */
interface VerifiedTable {
  readonly db: Knex
  readonly table: string
  readonly key: string
  /** Which rows are verified at all; in SQL, with an `and` behind. */
  readonly where: string
  /** Those of the records that are to be hashed, as far as their rows say. */
  wanted(ids: readonly string[]): Promise<readonly string[]>
}

export function onPrimary(main: Knex, replicable: Replicable): VerifiedTable {
  return { db: main, ...stateTableOf(replicable), where: '', wanted: (ids) => wantedIds(main, replicable, ids, null) }
}

export function onSecondary(tracking: Knex, { names }: Replicable): VerifiedTable {
  return {
    db: tracking,
    table: names.registryTable,
    key: names.foreignKey,
    where: `state = ${SYNC_STATE.synced} and`,
    wanted: async (ids) => ids,
  }
}

/** Whether anybody hashes what is to be hashed. */
export function verificationRuns(sources: TypeCheckSources, replicable: Replicable, known: VerifiedTable): Check {
  return {
    name: `The verification of ${replicable.names.plural} runs`,
    async ask() {
      if (!sources.gate.replicationEnabled(replicable)) return skipped('The flag is off here')
      const last = await lastVerified(known)
      const when = last ? `the last at ${last.at}` : 'none so far'
      const waiting = [...(await pending(known)), ...(await due(known))]
      if (waiting.length === 0 || (await known.wanted(waiting)).length === 0) return yes(`nothing waits, ${when}`)
      if (last && last.ageSeconds <= LATELY_SECONDS) return yes(when)
      return no(
        `Some wait, and none was verified in the last ten minutes (${when})`,
        'Look whether a process of this site works: start `npx geo work`, or leave `work` on.',
        `Look into verification_max_capacity of this site, which is ${sources.sites.me?.verificationMaxCapacity ?? 'not known'}; what failed is told by: geo failures`,
      )
    },
  }
}

async function lastVerified({ db, table, where }: VerifiedTable): Promise<{ at: string; ageSeconds: number } | null> {
  const { rows } = await run<{ rows: { at: string; ageSeconds: number }[] }>(
    db,
    `select ${isoSeconds('verified_at')} as at,
       extract(epoch from clock_timestamp() - verified_at)::float8 as "ageSeconds"
     from ?? where ${where} verification_state = ${V.succeeded} and verified_at is not null
     order by verified_at desc limit 1`,
    [table],
  )
  return rows[0] ?? null
}

// Each in the order of an index that holds nothing else: without an order the planner may take a whole table for the shorter way.

const pending = (known: VerifiedTable) =>
  ids(known, `verification_state = ${V.pending}`, 'order by verified_at nulls first')

const due = (known: VerifiedTable) =>
  ids(
    known,
    `verification_state = ${V.failed} and (verification_retry_at is null or verification_retry_at <= clock_timestamp())`,
    'order by verification_retry_at nulls first',
  )

function ids({ db, table, key, where }: VerifiedTable, condition: string, order: string): Promise<string[]> {
  return bounded(db, async (trx) => {
    const { rows } = await run<{ rows: { id: string }[] }>(
      trx,
      `select ??::text as id from ?? where ${where} ${condition} ${order} limit ${MOST_LOOKED_AT}`,
      [key, table],
    )
    return rows.map(({ id }) => id)
  })
}
