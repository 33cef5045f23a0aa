import type { Ability } from '../../ability.ts'
import type { BulkRun } from '../../bulk/bulk-run.ts'
import type { BulkRequest } from '../../bulk/request.ts'
import type { Explanation } from '../explain.ts'
import type { FailureGroup } from '../failures.ts'
import type { Asker, ChangeNow, ExplainWhich, FoundPage, LossesAsk, RegistriesAsk } from './details.ts'

/** What is asked and answered, call by call: one object each way, so that it can travel as JSON. */
export interface Calls {
  registries: { input: RegistriesAsk; result: FoundPage }
  explain: { input: { readonly type: string; readonly which: ExplainWhich }; result: Explanation }
  failures: { input: { readonly type: string }; result: readonly FailureGroup[] }
  changeNow: { input: ChangeNow; result: readonly string[] }
  startRun: { input: RunRequest; result: BulkRun }
  runs: { input: Record<never, never>; result: readonly BulkRun[] }
  cancelRun: { input: { readonly id: string }; result: BulkRun }
  losses: { input: LossesAsk; result: FoundPage }
}
export type CallName = keyof Calls
export type Input<Call extends CallName> = Calls[Call]['input']
export type Result<Call extends CallName> = Calls[Call]['result']

export interface RunRequest extends BulkRequest {
  readonly type: string
}

/** What each of them needs. */
export const ABILITY: Readonly<Record<CallName, Ability>> = Object.freeze({
  registries: 'read_geo',
  explain: 'read_geo',
  failures: 'read_geo',
  changeNow: 'admin_geo',
  startRun: 'admin_geo',
  runs: 'read_geo',
  cancelRun: 'admin_geo',
  losses: 'read_geo',
})

/** Answers a call that may be made and is well formed. */
export type Answer = <Call extends CallName>(call: Call, input: Input<Call>, asker: Asker) => Promise<Result<Call>>
