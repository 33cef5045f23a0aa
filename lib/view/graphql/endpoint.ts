import { type Request, type RequestHandler, type Response, Router } from 'express'
import { type ExecutionArgs, type GraphQLError, isObjectType, parse } from 'graphql'
import { createYoga, type Plugin } from 'graphql-yoga'
import type { Ability } from '../../ability.ts'
import type { LoggerLike } from '../../log.ts'
import { answerErrors } from '../../transfer/answer-errors.ts'
import { bodyInTime } from '../../transfer/slow-client.ts'
import { askerOf } from '../asker.ts'
import { requireAbility } from '../authorize.ts'
import { readOperation } from './body.ts'
import { shownError } from './errors.ts'
import { limitError, measure, OF_READERS, OF_STRANGERS, type ReadLimits } from './limits.ts'
import { NodeProxy } from './node-proxy.ts'
import { type GraphqlContext, type Reader, readerOf } from './reader.ts'
import { VisibleSchemas } from './schema.ts'
import { onlyFromPrimary, passedOnBy } from './signed.ts'
import type { GraphqlSources, OpenGraphql } from './sources.ts'

/**
 * `/api/graphql`; on a secondary also `/api/v4/geo/graphql` for what the primary passes on, and on the primary
 * `/api/v4/geo/node_proxy/:id/graphql`, which does.
 */
export function openEndpoint(sources: GraphqlSources): OpenGraphql {
  const ending = new AbortController()
  const schemas = new VisibleSchemas({ sources, ending: ending.signal })
  const yoga = createYoga<{ req: Request; res: Response }, GraphqlContext>({
    schema: () => schemas.now(),
    context: ({ req, res }) => ({ geoReader: readerOfRequest(sources, req, res) }),
    graphqlEndpoint: '/*',
    plugins: [withinLimits(), withCodes(sources.logger)],
    maskedErrors: { maskError: (error) => shownError(error, sources.logger) },
    graphiql: false,
    landingPage: false,
    cors: false,
    logging: false,
    multipart: false,
    batching: false,
    // Documents that differ each time would fill it: a thousand of them take hundreds of megabytes.
    parserAndValidationCache: false,
  })
  const serve: RequestHandler = (request, response, next) => {
    response.set('cache-control', 'no-store')
    Promise.resolve(yoga(request, response, { req: request, res: response } as never)).catch(next)
  }
  const proxy = new NodeProxy(sources)
  // Before anything is read of the body.
  const onlyReaders = requireAbility((request, ability) => sources.isAllowed(request, ability), 'read_geo')

  const router = Router()
  const inTime = bodyInTime({ ...sources, idleTimeoutMs: sources.settings.idleTimeoutMs })
  const { signed, bound } = onlyFromPrimary(sources)
  router.all('/api/graphql', inTime, mayBeStranger(sources), ...readOperation(limitsOf), serve)
  router.post('/api/v4/geo/graphql', inTime, signed, ...readOperation(), bound, serve)
  router.post('/api/v4/geo/node_proxy/:id/graphql', inTime, onlyReaders, ...readOperation(), proxy.handler(serve))
  // A path that is not well encoded fails before any of these.
  router.use('/api/v4/geo', answerErrors(sources.logger))
  return {
    router,
    siteFields() {
      const site = schemas.now().getType('GeoNode')
      return isObjectType(site) ? Object.keys(site.getFields()) : []
    },
    async close() {
      ending.abort()
      await proxy.close()
      await yoga.dispose()
    },
  }
}

/**
 * Whoever may read nothing gets null for an answer, as GitLab's API has it, and costs little until then: the host is asked before
 * anything is read. Never refuses.
 */
function mayBeStranger({ isAllowed }: GraphqlSources): RequestHandler {
  return (request, response, next) => {
    void isAllowed(request, 'read_geo').then((allowed) => {
      response.locals['geoMayRead'] = allowed
      next()
    }, next)
  }
}

function limitsOf(response: Response): ReadLimits {
  return response.locals['geoMayRead'] === false ? OF_STRANGERS : OF_READERS
}

/** What the host says of a request, or what the primary has signed of it. */
export function readerOfRequest(
  { databases, settings, isAllowed }: GraphqlSources,
  request: Request,
  response?: Response,
): Reader {
  const passedOn = response && passedOnBy(response)
  const known: unknown = response?.locals['geoMayRead']
  const here = (ability: Ability) =>
    ability === 'read_geo' && typeof known === 'boolean' ? known : isAllowed(request, ability)
  return readerOf({
    main: databases.main,
    may: passedOn ? (ability) => passedOn.abilities.includes(ability) : here,
    asker: passedOn ? () => passedOn.asker : () => askerOf(settings, request),
  })
}

type Stoppable = { setResultAndStopExecution(result: { errors: readonly GraphQLError[] }): void }

function withinLimits(): Plugin {
  const check = ({ document, operationName, variableValues }: ExecutionArgs, hook: Stoppable) => {
    const error = limitError(measure(document, operationName ?? null, variableValues ?? {}))
    if (error) hook.setResultAndStopExecution({ errors: [error] })
  }
  return {
    onParse({ context, setParseFn }) {
      const { tokens } = limitsOf((context as unknown as { res: Response }).res)
      setParseFn((source, options) => parse(source, { ...options, maxTokens: tokens }))
    },
    onExecute(hook) {
      check(hook.args as ExecutionArgs, hook as unknown as Stoppable)
    },
    onSubscribe(hook) {
      check(hook.args as ExecutionArgs, hook as unknown as Stoppable)
    },
  }
}

/** Each error has its code, those before the execution too. */
function withCodes(logger: LoggerLike): Plugin {
  return {
    onResultProcess({ result, setResult }) {
      if (Array.isArray(result) || !('errors' in result) || !result.errors) return
      setResult({ ...result, errors: result.errors.map((error) => shownError(error, logger)) })
    },
  }
}
