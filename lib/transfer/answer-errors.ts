import type { ErrorRequestHandler } from 'express'
import { GeoError, messageOf } from '../errors.ts'
import type { LoggerLike } from '../log.ts'

/** What Express and its body parser say, in our codes. */
export function fromExpress(reason: unknown): GeoError | null {
  if (reason instanceof URIError)
    return new GeoError('INVALID_REQUEST', 'The path is not well encoded', { cause: reason })
  switch ((reason as { type?: unknown } | null)?.type) {
    case 'entity.too.large':
    case 'parameters.too.many':
      return new GeoError('REQUEST_TOO_LARGE', 'The request body is too large', { cause: reason })
    case 'request.aborted':
    case 'request.size.invalid':
      return new GeoError('REQUEST_TRUNCATED', 'The request body did not have the announced length', { cause: reason })
    case 'entity.parse.failed':
    case 'charset.unsupported':
    case 'encoding.unsupported':
      return new GeoError('INVALID_REQUEST', 'The request body is not what the route takes', { cause: reason })
    default:
      // Such as a body that is not compressed as it says: that has no type.
      if ((reason as { status?: unknown } | null)?.status !== 400) return null
      return new GeoError('INVALID_REQUEST', 'The request body cannot be read', { cause: reason })
  }
}

const READER_GONE = ['ERR_STREAM_PREMATURE_CLOSE', 'ERR_STREAM_DESTROYED']

/** Whether an answer ended because whoever read it went away. */
export function isCutByReader(reason: unknown): boolean {
  return reason instanceof Error && READER_GONE.includes((reason as NodeJS.ErrnoException).code ?? '')
}

/**
 * Answers errors with their status and code, and logs each once. What is not ours to tell is told to the log alone. `told`: what else
 * is answered to an error.
 */
export function answerErrors(
  logger: LoggerLike,
  told: (error: GeoError) => Readonly<Record<string, unknown>> = () => ({}),
): ErrorRequestHandler {
  return (reason: unknown, request, response, _next) => {
    const known = reason instanceof GeoError ? reason : fromExpress(reason)
    const error = known ?? new GeoError('INTERNAL', 'Internal error', { cause: reason })
    const fields = { code: error.code, status: error.status, path: request.path, from: request.ip }
    if (response.headersSent && isCutByReader(reason)) {
      // Nothing is wrong here, and the other side knows why.
      logger.info({ path: request.path, from: request.ip }, 'The other side ended a transfer')
    } else if (known && error.status < 500) logger.warn(fields, error.message)
    else logger.error({ ...fields, cause: messageOf(error.cause ?? '') }, error.message)
    if (response.headersSent) {
      // The length was announced: cutting the connection is the only way to say that it will not be kept.
      response.destroy()
      return
    }
    const missing = error.code === 'FILE_NOT_FOUND' && { geo_code: 'FILE_NOT_FOUND' }
    response.status(error.status).json({ ...missing, ...told(error), message: error.message, code: error.code })
  }
}
