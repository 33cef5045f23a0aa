import type { BulkRequest } from '../../bulk/request.ts'
import { GeoError } from '../../errors.ts'
import { ABILITY, type Answer, type CallName, type Input, type Result } from './calls.ts'
import type { Asker, ChangeNow, ExplainWhich, LossesAsk, RegistriesAsk, SiteDetails } from './details.ts'
import { INPUT_SHAPES } from './input-shapes.ts'

/**
 * Whatever site answers: nobody is answered what they may not ask, and nothing is asked that no site would answer.
 * @throws GeoError `FORBIDDEN`, `INVALID_REQUEST` and what the answer rejects with
 */
export async function answerCall<Call extends CallName>(
  answer: Answer,
  call: Call,
  given: unknown,
  asker: Asker,
): Promise<Result<Call>> {
  const ability = ABILITY[call]
  if (!asker.abilities.includes(ability)) throw new GeoError('FORBIDDEN', `This needs the ability ${ability}`)
  const parsed = INPUT_SHAPES[call].safeParse(given)
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || call}: ${issue.message}`)
    throw new GeoError('INVALID_REQUEST', problems.join('; '))
  }
  return answer(call, parsed.data as Input<Call>, asker)
}

/** A site's details for one asker, whichever way they are answered. */
export function detailsOf(answer: Answer, asker: Asker): SiteDetails {
  const ask = <Call extends CallName>(call: Call, input: Input<Call>) => answerCall(answer, call, input, asker)
  return Object.freeze({
    registries: (given: RegistriesAsk) => ask('registries', given),
    explain: (type: string, which: ExplainWhich) => ask('explain', { type, which }),
    failures: (type: string) => ask('failures', { type }),
    changeNow: (change: ChangeNow) => ask('changeNow', change),
    startRun: ({ type, ...request }: BulkRequest) =>
      ask('startRun', { ...request, type: typeof type === 'string' ? type : type.name }),
    runs: () => ask('runs', {}),
    cancelRun: (id: string) => ask('cancelRun', { id }),
    losses: (given: LossesAsk) => ask('losses', given),
  })
}
