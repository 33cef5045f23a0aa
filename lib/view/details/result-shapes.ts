import { z } from 'zod'
import { registryIdShape } from '../registries/position.ts'
import type { CallName, Result } from './calls.ts'
import { actionShape, syncStateShape, verificationStateShape } from './input-shapes.ts'

/**
 * What another site answers, which is less trusted than this one: every value has its type, and every text an end. What a newer
 * version says beyond it is left out.
 */

const LONGEST_TEXT = 10_000

const text = z.string().max(LONGEST_TEXT)
const number = z.number()
const optionalText = text.nullable()
/** A moment as ISO 8601, which stays a text here. */
const moment = z.iso.datetime()
const optionalMoment = moment.nullable()
/** A moment that is a Date again. */
const date = moment.transform((iso) => new Date(iso))
const optionalDate = date.nullable()

const filter = z.object({
  ids: z.array(text).exactOptional(),
  syncState: syncStateShape.exactOptional(),
  verificationState: verificationStateShape.exactOptional(),
  errorCode: text.exactOptional(),
})

const entry = z.object({
  type: text,
  registryId: registryIdShape,
  recordId: text,
  state: syncStateShape,
  retryCount: number,
  retryAt: optionalMoment,
  lastSyncedAt: optionalMoment,
  lastSyncFailure: optionalText,
  createdAt: moment,
  verificationState: verificationStateShape,
  verifiedAt: optionalMoment,
  verificationStartedAt: optionalMoment,
  verificationRetryAt: optionalMoment,
  verificationRetryCount: number,
  verificationFailure: optionalText,
  verificationChecksum: optionalText,
  verificationChecksumMismatched: optionalText,
  checksumMismatch: z.boolean(),
  errorCode: optionalText,
  bytes: optionalText,
  // Goes back to that site, which looks at it anew.
  position: z.object({ value: text, registryId: registryIdShape }),
})

const page = z.object({ entries: z.array(entry), count: number.nullable() })

const run = z.object({
  id: text,
  action: actionShape,
  type: text,
  filter,
  dryRun: z.boolean(),
  requestedBy: optionalText,
  state: z.enum(['waiting', 'running', 'finished', 'cancelled']),
  examined: number,
  changed: number,
  doneFraction: number,
  createdAt: date,
  startedAt: optionalDate,
  finishedAt: optionalDate,
  cancelledAt: optionalDate,
  failure: z.object({ message: text, at: date }).nullable(),
})

const failureGroup = z.object({
  type: text,
  code: text,
  count: number,
  newest: z.object({ id: text, message: optionalText, at: optionalMoment }),
  advice: optionalText,
  retries: z.array(
    z.object({ action: actionShape, type: text, filter: filter.exactOptional(), dryRun: z.boolean().exactOptional() }),
  ),
})

const primaryRecord = z.object({
  verificationState: verificationStateShape,
  verifiedAt: optionalMoment,
  retryAt: optionalMoment,
  attempts: number,
  algorithm: optionalText,
  checksum: optionalText,
  failure: optionalText,
  isCorrupt: z.boolean(),
})

const copyRecord = z.object({
  registryId: text,
  state: syncStateShape,
  verificationState: verificationStateShape,
  createdAt: moment,
  lastSyncedAt: optionalMoment,
  retryAt: optionalMoment,
  attempts: number,
  verifiedAt: optionalMoment,
  verificationRetryAt: optionalMoment,
  verificationAttempts: number,
  checksum: optionalText,
  mismatchedChecksum: optionalText,
  syncFailure: optionalText,
  verificationFailure: optionalText,
  errorCode: optionalText,
  key: optionalText,
  bytes: number.nullable(),
  leaseId: optionalText,
  workerLosses: number,
  isLeaving: z.boolean(),
  isBackfill: z.boolean(),
})

const explanation = z.object({
  type: text,
  id: text,
  site: z.object({ name: text, role: z.enum(['primary', 'secondary']) }),
  flagIsOn: z.boolean(),
  row: z.object({
    isThere: z.boolean(),
    isAvailable: z.boolean(),
    isInScope: z.boolean(),
    key: optionalText,
    failure: optionalText,
  }),
  primary: primaryRecord.nullable(),
  copy: copyRecord.nullable(),
  lease: z.object({ id: text, kind: text, holder: text, heldSeconds: number, secondsLeft: number }).nullable(),
  failure: z.object({ code: optionalText, message: text, advice: optionalText }).nullable(),
  file: z.object({ key: text, path: text, bytes: number.nullable(), problem: optionalText }).nullable(),
  events: z.array(z.object({ id: text, event: text, at: moment })),
  summary: z.array(text),
})

export const RESULT_SHAPES: { readonly [Call in CallName]: z.ZodType<Result<Call>> } = Object.freeze({
  registries: page,
  explain: explanation,
  failures: z.array(failureGroup),
  changeNow: z.array(registryIdShape),
  startRun: run,
  runs: z.array(run),
  cancelRun: run,
  losses: page,
})
