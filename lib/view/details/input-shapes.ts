import { z } from 'zod'
import { filterShape } from '../../bulk/request.ts'
import { SYNC_STATE } from '../../registry/sync-state.ts'
import { VERIFICATION_STATE } from '../../verification/verification-state.ts'
import { REGISTRY_SORTS } from '../registries/finder.ts'
import { positionShape, registryIdShape } from '../registries/position.ts'
import type { CallName, Input } from './calls.ts'

/** What is asked of a site. Nothing beyond it: a filter that is not known would be one that is not kept. */

const MOST_ROWS = 1000
const MOST_COUNTED = 1_000_000
const MOST_IDS = 10_000

const type = z.string().min(1).max(100)
export const actionShape = z.enum(['resync', 'reverify'])
export const syncStateShape = statesOf(SYNC_STATE)
export const verificationStateShape = statesOf(VERIFICATION_STATE)

const pageShape = {
  type,
  window: z.strictObject({
    after: positionShape.nullable().exactOptional(),
    before: positionShape.nullable().exactOptional(),
    limit: z.int().min(0).max(MOST_ROWS),
    fromEnd: z.boolean().exactOptional(),
  }),
  countUpTo: z.int().min(0).max(MOST_COUNTED).nullable(),
}

export const INPUT_SHAPES: { readonly [Call in CallName]: z.ZodType<Input<Call>> } = Object.freeze({
  registries: z.strictObject({
    ...pageShape,
    filters: z.strictObject({
      ids: z.array(registryIdShape).max(MOST_IDS).nullish(),
      recordIds: z.array(z.string().min(1).max(100)).max(MOST_IDS).nullish(),
      replicationState: syncStateShape.nullish(),
      verificationState: verificationStateShape.nullish(),
      keyword: z.string().max(1000).nullish(),
      sort: z.enum(REGISTRY_SORTS).nullish(),
    }),
  }),
  explain: z.strictObject({
    type,
    which: z.union([
      z.strictObject({ registryId: registryIdShape }),
      z.strictObject({ recordId: z.string().min(1).max(100) }),
    ]),
  }),
  failures: z.strictObject({ type }),
  changeNow: z.strictObject({ action: actionShape, type, registryIds: z.array(registryIdShape).min(1).max(MOST_ROWS) }),
  startRun: z.strictObject({
    action: actionShape,
    type,
    filter: filterShape.exactOptional(),
    dryRun: z.boolean().exactOptional(),
    requestedBy: z.string().min(1).max(255).exactOptional(),
  }),
  runs: z.strictObject({}),
  cancelRun: z.strictObject({ id: z.string().min(1).max(20) }),
  losses: z.strictObject(pageShape),
})

function statesOf<State extends string>(states: Readonly<Record<State, number>>) {
  return z.enum(Object.keys(states) as State[])
}
