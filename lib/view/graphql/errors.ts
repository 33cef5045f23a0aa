import { GraphQLError } from 'graphql'
import { ERROR_CODES, GeoError, isErrorCode, messageOf } from '../../errors.ts'
import type { LoggerLike } from '../../log.ts'

const NOT_AVAILABLE =
  "The resource that you are attempting to access does not exist or you don't have permission to perform this action"

/** For those who may not do it, and in the same words for those who ask for what is not there (GB.H.5). */
export function notAvailable(): GraphQLError {
  return new GraphQLError(NOT_AVAILABLE, { extensions: { code: 'RESOURCE_NOT_AVAILABLE' } })
}

/** What a client may know of a failure: its code and, where it is the client's, its words. Everything else is for the log. */
export function shownError(error: unknown, logger: LoggerLike): GraphQLError {
  const cause = originalOf(error)
  if (error instanceof GraphQLError && (cause === undefined || cause instanceof GraphQLError)) return coded(error)
  const where = error instanceof GraphQLError ? { nodes: error.nodes ?? null, path: error.path ?? null } : {}
  if (cause instanceof GeoError && ERROR_CODES[cause.code][0] < 500) {
    return new GraphQLError(cause.message, { ...where, extensions: { code: cause.code } })
  }
  logger.error({ error: messageOf(cause ?? error) }, 'A GraphQL operation failed')
  const code = cause instanceof GeoError && isErrorCode(cause.code) ? cause.code : 'INTERNAL'
  return new GraphQLError('This failed on the server; its log says why', { ...where, extensions: { code } })
}

/** graphql-js says of its own errors no code: those before the execution have no path. */
function coded(error: GraphQLError): GraphQLError {
  if (typeof error.extensions['code'] === 'string') return error
  const code = error.message.startsWith('Syntax Error') ? 'GRAPHQL_PARSE_FAILED' : 'GRAPHQL_VALIDATION_FAILED'
  const { nodes, source, positions, path } = error
  return new GraphQLError(error.message, {
    nodes: nodes ?? null,
    source: source ?? null,
    positions: positions ?? null,
    path: path ?? null,
    extensions: { ...error.extensions, code },
  })
}

function originalOf(error: unknown): unknown {
  let cause: unknown = error
  while (cause instanceof GraphQLError && cause.originalError) cause = cause.originalError
  return cause === error && error instanceof GraphQLError ? undefined : cause
}
