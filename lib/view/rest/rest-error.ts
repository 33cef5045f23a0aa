import type { ErrorRequestHandler } from 'express'
import { answering } from '../../databases.ts'
import type { LoggerLike } from '../../log.ts'
import { InvalidSiteError } from '../../site-fields.ts'
import { answerErrors } from '../../transfer/answer-errors.ts'
import { problemsByParam } from './node-params.ts'

/** An answer other than success, in the words and shapes that clients of GitLab's API know. */
export class RestError extends Error {
  override readonly name = 'RestError'
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>

  constructor(status: number, body: Readonly<Record<string, unknown>>) {
    super(JSON.stringify(body))
    this.status = status
    this.body = body
  }
}

export const notFound = (what: string) => new RestError(404, { message: `404 ${what} Not Found` })
export const forbidden = () => new RestError(403, { message: '403 Forbidden' })
export const badRequest = (reason?: string) =>
  new RestError(400, { message: reason === undefined ? '400 Bad request' : `400 Bad request - ${reason}` })
/** Parameters that are missing or of another type than documented. */
export const badParams = (problems: readonly string[]) => new RestError(400, { error: problems.join(', ') })
/** Of a write on a secondary; `primary` is where it belongs. */
export const readOnlySite = (primary: string | null) =>
  new RestError(403, {
    message: 'You cannot perform write operations on a read-only instance',
    geo_code: 'READ_ONLY_SITE',
    primary,
  })

/** Runs what a request needs. Where it fails for want of a database, it is `DATABASE_UNAVAILABLE`. */
export async function answeringRest<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (reason) {
    if (reason instanceof RestError) throw reason
    return answering(() => Promise.reject(reason))
  }
}

/** Answers errors. What is no fault of the client keeps its code of ours beside the message, and is logged. */
export function answerRestErrors(logger: LoggerLike): ErrorRequestHandler {
  const answer = answerErrors(logger)
  return (reason: unknown, request, response, next) => {
    if (response.headersSent) answer(reason, request, response, next)
    else if (reason instanceof RestError) response.status(reason.status).json(reason.body)
    else if (reason instanceof InvalidSiteError) response.status(400).json({ message: problemsByParam(reason) })
    else if ((reason as { type?: unknown } | null)?.type === 'entity.parse.failed')
      response.status(400).json({ error: 'message body does not match declared format' })
    else answer(reason, request, response, next)
  }
}
