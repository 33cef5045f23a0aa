import { codeInFrontOf, type ErrorCode } from '../errors.ts'

/*
 * What is kept of a failed verification. The table of the host's records has no column for a code (GB.B): the code stands in
 * front of the text, or is known by the text where GB fixes it.
 */

const IN_FRONT = 'Error during verification: '
const MISSING = 'File is not checksummable - file does not exist at: '

/** Why a file could not be hashed. */
export const missingText = (key: string): string => `${MISSING}${key}`

/** The same as a verdict on its record. */
export const unhashedText = (reason: string): string => `${IN_FRONT}${reason}`

export const LOST_TEXT = 'The process that hashed this blob stopped answering'

/** The code of a failure by what is kept of it; null where it says none. */
export function codeOfText(text: string): string | null {
  if (text.startsWith(IN_FRONT + MISSING)) return 'FILE_MISSING' satisfies ErrorCode
  if (text === LOST_TEXT) return 'WORKER_LOST' satisfies ErrorCode
  return codeInFrontOf(text)
}
