import { z } from 'zod'
import { STATUS_PATH, type StatusReport } from './status.ts'
import { type TellingContext, tellPrimary } from './tell-primary.ts'

const answerShape = z.looseObject({ now_ms: z.number() })

/** What a report that was taken tells of the way to the primary. */
export interface Reported {
  /** How far the clock of this process is ahead of the primary's, give or take half of the round trip; null where it did not say. */
  readonly clockSkewMs: number | null
}

/**
 * Tells the primary how far this secondary is.
 * @throws GeoError `PRIMARY_UNKNOWN`, `PRIMARY_UNREACHABLE`, `PRIMARY_BUSY`, `PRIMARY_REFUSED` or the primary's own code
 */
export async function reportStatus(context: TellingContext, report: StatusReport): Promise<Reported> {
  const { answer, halfwayMs } = await tellPrimary(context, { pathOf: () => STATUS_PATH.slice(1), body: report })
  return { clockSkewMs: skewOf(answer, halfwayMs) }
}

function skewOf(answer: string, halfwayMs: number): number | null {
  try {
    return halfwayMs - answerShape.parse(JSON.parse(answer)).now_ms
  } catch {
    // An older primary answers without its time.
    return null
  }
}
