import type { Knex } from 'knex'
import type { Replicable } from '../blob/replicable.ts'
import { anyOf, run } from '../databases.ts'
import { VERIFICATION_STATE as V, VERIFICATION, type VerificationState } from '../verification/verification-state.ts'
import { SYNC_STATE } from './sync-state.ts'
import { verificationPending } from './verification-reset.ts'

export interface WokenSharers {
  readonly replicable: Replicable
  readonly id: string
  readonly from: VerificationState
}

const JUDGED = `r.state = ${SYNC_STATE.synced} and r.verification_state in (${V.succeeded}, ${V.started})`

/**
 * Other rows, of the types in the same folder, whose file has just been replaced by the copies of `ids`: what was judged of
 * theirs was judged of the bytes before, so they are hashed again. Called before the copies are marked: a row that is marked at
 * the same moment is hashed anyway, and is not waited for.
 */
export async function wakeSharers(
  trx: Knex.Transaction,
  replicable: Replicable,
  sharing: readonly Replicable[],
  copies: readonly { readonly id: string; readonly key: string }[],
): Promise<WokenSharers[]> {
  if (copies.length === 0) return []
  const keys = copies.map(({ key }) => key)
  const others = sharing.map(({ names }) => ({
    // By the key alone, one by one: where its statistics are old, the planner would rather look through all that is synced.
    sql: `exists (select from unnest(?::text[]) as k(key)
       cross join lateral (select state, verification_state from ?? where blob_key = k.key offset 0) as r where ${JUDGED})`,
    names,
  }))
  // One question for all types, since hardly ever is there such a row.
  const { rows } = await run<{ rows: Record<string, boolean>[] }>(
    trx,
    `select ${others.map(({ sql }, position) => `${sql} as "${position}"`).join(', ')}`,
    others.flatMap(({ names }) => [keys, names.registryTable]),
  )
  const woken: WokenSharers[] = []
  for (const [position, type] of sharing.entries()) {
    if (!rows[0]?.[String(position)]) continue
    const own = type.name === replicable.name ? copies.map(({ id }) => id) : []
    woken.push(...(await wakeOf(trx, type, keys, own)))
  }
  return woken
}

async function wakeOf(
  trx: Knex.Transaction,
  replicable: Replicable,
  keys: readonly string[],
  own: readonly string[],
): Promise<WokenSharers[]> {
  const { names, keyType } = replicable
  const { rows } = await run<{ rows: { id: string; before: number }[] }>(
    trx,
    `with woken as materialized (
       select r.id as row_id, r.verification_state as before from ?? as r
       where r.blob_key = any(?) and ${JUDGED} and r.?? <> all(?::${keyType}[]) order by r.id for update
     )
     update ?? as r set ${verificationPending()} from woken
     where r.id = row_id and r.id = ${anyOf('woken', 'row_id')} returning r.??::text as id, before`,
    [names.registryTable, keys, names.foreignKey, own, names.registryTable, names.foreignKey],
  )
  return rows.map(({ id, before }) => ({ replicable, id, from: VERIFICATION.named(before) }))
}
