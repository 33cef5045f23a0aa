import { ERROR_CODES, type ErrorCode, GeoError, messageOf } from '../../errors.ts'
import type { Finding } from '../finding.ts'

/** The answer to one question about a site. */
export type Outcome =
  | { readonly answer: 'yes'; readonly detail: string | null }
  | {
      readonly answer: 'no'
      readonly reason: string
      readonly code: ErrorCode | null
      /** What to do, a sentence each. */
      readonly advice: readonly string[]
    }
  | { readonly answer: 'skipped'; readonly reason: string }

export function yes(detail: string | null = null): Outcome {
  return { answer: 'yes', detail }
}

export function no(reason: string, ...advice: readonly string[]): Outcome {
  return { answer: 'no', reason, code: null, advice }
}

/** With what is always to be done about the code, unless there is better advice. */
export function noBy(code: ErrorCode, reason: string, ...advice: readonly string[]): Outcome {
  return { answer: 'no', reason, code, advice: advice.length > 0 ? advice : [ERROR_CODES[code][1]] }
}

/** What health found is a no; nothing found is a yes. */
export function noneOf(findings: readonly Finding[], detail: string | null = null): Outcome {
  const [found] = findings
  return found ? { answer: 'no', reason: found.message, code: found.code, advice: [found.advice] } : yes(detail)
}

export function skipped(reason: string): Outcome {
  return { answer: 'skipped', reason }
}

export function noBecauseOf(reason: unknown): Outcome {
  return reason instanceof GeoError
    ? noBy(reason.code, reason.message)
    : no(messageOf(reason), 'See the message; ask again once that is mended.')
}

/** One question. Whatever `ask` throws is a no. */
export interface Check {
  readonly name: string
  ask(): Promise<Outcome>
}

export async function answerTo({ name, ask }: Check): Promise<Checked> {
  try {
    return { name, ...(await ask()) }
  } catch (reason) {
    return { name, ...noBecauseOf(reason) }
  }
}

export type Checked = Outcome & { readonly name: string }
