import type { ErrorCode } from '../errors.ts'
import type { SizedRow, StrayFile } from '../registry/marks.ts'
import type { ReceivedBlob, ReceiveOutcome, ReceiveResult, WantedBlob } from '../transfer/blob-order.ts'
import type { Refusal } from '../transfer/refusal.ts'

/** A blob that lay in its place already and is what the primary has. */
export interface PresentBlob {
  readonly id: string
  readonly key: string
  readonly bytes: number
}

export interface FailedBlob {
  readonly id: string
  readonly code: ErrorCode
  readonly message: string
}

/** What has been found out about the rows of a batch; rows that no list names are given back. */
export interface Findings {
  readonly received: ReceivedBlob[]
  readonly present: PresentBlob[]
  readonly failed: FailedBlob[]
  readonly sized: SizedRow[]
  readonly gone: string[]
  /** Files that may have got their names in an end of the batch that came to nothing. */
  readonly unmarked: StrayFile[]
  /** By record, the version of the host's row that said the key. */
  readonly rowVersions: Map<string, string>
  /** Why the site should pause its transfers. */
  refusal: Refusal | null
}

export function noFindings(): Findings {
  return {
    received: [],
    present: [],
    failed: [],
    sized: [],
    gone: [],
    unmarked: [],
    rowVersions: new Map(),
    refusal: null,
  }
}

/** Takes over what came of a request. A blob that was asked for and of which nothing is said has failed as well. */
export function collect(
  findings: Findings,
  { outcomes, refusal }: ReceiveResult,
  asked: readonly WantedBlob[],
): Map<string, ReceiveOutcome> {
  const byId = new Map(outcomes.map((outcome) => [outcome.id, outcome]))
  for (const outcome of outcomes) {
    if (outcome.outcome === 'received') findings.received.push(outcome)
    else if (outcome.outcome === 'failed') findings.failed.push(outcome)
    else findings.sized.push(outcome)
  }
  if (refusal?.kind === 'pause') {
    findings.refusal = refusal
    return byId
  }
  // GB.E.5: a row that is left started after all is a failure too, or it would be claimed again at once and for ever.
  const { code, message } = refusal ?? { code: 'INVALID_RESPONSE' as const, message: 'Unknown system error' }
  for (const { id } of asked) if (!byId.has(id)) findings.failed.push({ id, code, message })
  return byId
}
