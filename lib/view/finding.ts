import { ERROR_CODES, type ErrorCode } from '../errors.ts'

/** One thing an operator should know. */
export interface Finding {
  readonly code: ErrorCode
  readonly message: string
  readonly advice: string
}

export function finding(code: ErrorCode, message: string): Finding {
  return { code, message, advice: ERROR_CODES[code][1] }
}
