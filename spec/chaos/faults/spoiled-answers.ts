import type { Shape, Trick } from '../mischief.ts'

/** What is to come of answers that are spoiled, as numbers and codes. */

export interface Expected {
  /** Which requests are answered so; all of them where it is not given. */
  readonly only?: Shape
  /** One of these, where a transfer fails for it. */
  readonly codes: readonly string[]
  /** Of these each is seen. */
  readonly told: readonly string[]
  /** Nothing need be told. */
  readonly mayBeSilent?: boolean
  /** The blob goes on where its answer ended, with the next request. */
  readonly goesOn?: boolean
}

const CUT_OF_MANY: Expected = { only: 'many', codes: ['PRIMARY_UNREACHABLE'], told: ['PRIMARY_UNREACHABLE'] }
/** Where RST overtakes the head of an answer on a connection that was used before, the request is sent once more, and nothing is told. */
const RESET_OF_MANY: Expected = { ...CUT_OF_MANY, told: [], mayBeSilent: true }
/** Nothing is told of a blob that has gone on. */
const CUT_OF_ONE: Expected = { only: 'one', codes: [], told: [], goesOn: true }
const always = (code: string): Expected => ({ codes: [code], told: [code] })

/** By which codes each of them is known, in the registry or in the log. */
export const EXPECTED: Readonly<Record<Trick, readonly Expected[]>> = Object.freeze({
  cut: [CUT_OF_MANY, CUT_OF_ONE],
  reset: [RESET_OF_MANY, CUT_OF_ONE],
  truncated: [CUT_OF_MANY, CUT_OF_ONE],
  tooLong: [always('BODY_TOO_LONG')],
  flipped: [
    { ...always('CHECKSUM_MISMATCH'), only: 'one' },
    // The byte may be of the head of a frame: then there is no frame, or one for nobody, or it does not end with the answer.
    { only: 'many', codes: ['CHECKSUM_MISMATCH', 'INVALID_RESPONSE', 'PRIMARY_UNREACHABLE'], told: [] },
  ],
  drip: [{ codes: [], told: [] }],
  // An answer for many blobs has a length in each of its frames. One that is said to be longer than it is, is asked for once more,
  // and is called cut only where that is said of it again.
  wrongLength: [{ only: 'one', codes: ['BODY_TOO_LONG', 'BODY_TRUNCATED'], told: ['BODY_TOO_LONG'] }],
  wrongType: [always('INVALID_RESPONSE')],
  busy: [always('PRIMARY_BUSY')],
  broken: [always('HTTP_STATUS')],
  // A list is asked for by a POST, which no redirect is followed with.
  redirectLoop: [
    { ...always('HTTP_STATUS'), only: 'many' },
    { ...always('TOO_MANY_REDIRECTS'), only: 'one' },
  ],
})

export interface Played {
  readonly times: number
  readonly played: number
  readonly seen: ReadonlySet<string>
  readonly untyped: readonly string[]
  /** Requests for one blob that went on where another had ended. */
  readonly goneOn: number
}

export function judgePlayed(
  trick: Trick,
  { only, codes, told, goesOn = false, mayBeSilent = false }: Expected,
  { times, played, seen, untyped, goneOn }: Played,
): string[] {
  const what = only ? `${trick} of ${only}` : trick
  const violations = untyped.map((failure) => `${what}: a failure without a code: ${failure}`)
  for (const code of seen)
    if (!codes.includes(code))
      violations.push(`${what} is called ${code}; expected ${codes.join(' or ') || 'no failure'}`)
  for (const code of told)
    if (!seen.has(code)) violations.push(`${what} was played ${played} times, and nothing says ${code}`)
  if (told.length === 0 && codes.length > 0 && seen.size === 0 && !mayBeSilent)
    violations.push(`${what} was played ${played} times, and nothing is said of it`)
  if (goesOn && goneOn < played)
    violations.push(`${what} was played ${played} times, and ${goneOn} requests went on where one had ended`)
  if (played < times) violations.push(`${what} was played ${played} times of ${times}`)
  return violations
}

/** What large blobs that were cut again and again have cost. */
export interface Resumed {
  readonly how: Trick
  readonly cuts: number
  readonly played: number
  readonly blobs: number
  /** Of all of them together. */
  readonly bytes: number
  readonly asked: number
  readonly goneOn: number
  readonly bytesSent: number
}

/** Heads included: measured were 1.0001. */
const MOST_ON_THE_WIRE = 1.001
/**
 * With RST the kernel of the sending side throws away what it had taken and not sent yet, which nobody can save: up to 4 MiB a time
 * (spec/transfer/cuts.scale.spec.ts), measured were 0.6 MiB. A blob of 16 MiB that began anew would cost four times as much as this.
 */
const DROPPED_AT_RESET_BYTES = 2 * 1024 * 1024

export function judgeResumed({ how, cuts, played, blobs, bytes, asked, goneOn, bytesSent }: Resumed): string[] {
  const violations: string[] = []
  if (played < cuts) violations.push(`large blobs: ${how} was played ${played} times of ${cuts}`)
  const most = MOST_ON_THE_WIRE * bytes + (how === 'reset' ? played * DROPPED_AT_RESET_BYTES : 0)
  if (bytesSent > most)
    violations.push(`${bytesSent} bytes were sent for ${bytes} bytes of blobs, ${how} ${played} times`)
  if (asked > blobs + played) violations.push(`${asked} requests for ${blobs} large blobs, ${how} ${played} times`)
  if (goneOn < played)
    violations.push(
      `${goneOn} of ${asked} requests for large blobs went on where one had ended, ${how} ${played} times`,
    )
  return violations
}
