import type { NextFunction, Request, Response } from 'express'
import { GeoError } from '../errors.ts'
import type { LoggerLike } from '../log.ts'
import { answerErrors, isCutByReader } from '../transfer/answer-errors.ts'

const RETRY_AFTER_S = '5'
// What a host sets for the file must not stay on the answer that there is none.
const HEADERS_OF_THE_FILE = ['content-disposition', 'cache-control', 'etag', 'content-type', 'content-length']

/** Whether an answer ended because the client went away: nobody is left to answer, and nothing is wrong. */
export function isReaderGone(reason: unknown): boolean {
  // Requests to the primary are aborted for this reason alone.
  return isCutByReader(reason) || (reason instanceof Error && reason.name === 'AbortError')
}

/** Answers a person's request that failed, with status, code and, where it may go better later, when to ask again. */
export function answerFailure(logger: LoggerLike) {
  const answer = answerErrors(logger)
  return (reason: unknown, request: Request, response: Response, next: NextFunction): void => {
    if (isReaderGone(reason)) return
    if (!response.headersSent) {
      for (const header of HEADERS_OF_THE_FILE) response.removeHeader(header)
      const isTemporary = reason instanceof GeoError && reason.status === 503
      if (isTemporary && !response.hasHeader('retry-after')) response.set('retry-after', RETRY_AFTER_S)
    }
    // A client that still sends its body would not see the answer.
    request.resume()
    answer(reason, request, response, next)
  }
}
