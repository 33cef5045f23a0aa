import express, { type ErrorRequestHandler, type Request, type RequestHandler, type Response } from 'express'
import { z } from 'zod'
import { OF_READERS, OF_STRANGERS, type ReadLimits } from './limits.ts'

/** What comes before GraphQL: one operation as JSON, of a bounded size, which no page of another site can send unasked. */

const operationShape = z.object({
  query: z.string().min(1),
  operationName: z.string().nullish(),
  variables: z.record(z.string(), z.unknown()).nullish(),
  extensions: z.record(z.string(), z.unknown()).nullish(),
})

/** An answer in the shape of GraphQL's, to what never became an operation. */
export function refuse(response: Response, status: number, code: string, message: string): void {
  response.status(status).json({ errors: [{ message, extensions: { code } }] })
}

/**
 * Of a form, and of text, browsers send what pages of other sites tell them to, with the reader's cookies: only JSON is taken.
 * A GET can only read: graphql-yoga refuses mutations there.
 */
const onlyJson: RequestHandler = (request, response, next) => {
  if (request.method === 'GET') next()
  else if (request.method !== 'POST') {
    response.set('Allow', 'GET, POST')
    refuse(response, 405, 'INVALID_REQUEST', 'Send GET or POST')
  } else if (request.is('application/json')) next()
  else refuse(response, 415, 'INVALID_REQUEST', 'Send the operation as application/json')
}

/** graphql-yoga makes an address of it, and where that fails it answers with a stack trace. */
const toSomeHost: RequestHandler = (request, response, next) => {
  // As a proxy says it, where the host trusts one; as the request does.
  const hosts = [request.hostname, request.headers.host]
  if (hosts.every((host) => !host || URL.canParse(`http://${host}`))) next()
  else refuse(response, 400, 'INVALID_REQUEST', 'The host of the request is none')
}

const oneOperation: RequestHandler = (request, response, next) => {
  if (request.method === 'GET') {
    const wrong = notJson(request)
    return wrong ? refuse(response, 400, 'INVALID_REQUEST', `The ${wrong} are no JSON object`) : next()
  }
  const parsed = operationShape.safeParse(request.body)
  if (!parsed.success) return refuse(response, 400, 'INVALID_REQUEST', 'The body is no GraphQL operation')
  request.body = parsed.data
  next()
}

/** Which of the parameters that hold JSON in a GET does not; null where all do. A host may have its query parser switched off. */
function notJson({ url, query }: Request): string | null {
  const raw = new URLSearchParams(url.includes('?') ? url.slice(url.indexOf('?')) : '')
  return (
    ['variables', 'extensions'].find(
      (name) => ![query[name], raw.get(name)].every((value) => isJsonObject(value ?? '')),
    ) ?? null
  )
}

function isJsonObject(value: unknown): boolean {
  // None, as graphql-yoga has it.
  if (value === '') return true
  if (typeof value !== 'string') return false
  try {
    return z.record(z.string(), z.unknown()).nullable().safeParse(JSON.parse(value)).success
  } catch {
    return false
  }
}

const whatFailed: ErrorRequestHandler = (reason: { type?: unknown; limit?: unknown }, _request, response, next) => {
  // It was sent so slowly that it is answered already.
  if (response.headersSent) response.destroy()
  else if (reason.type === 'entity.too.large')
    refuse(response, 413, 'REQUEST_TOO_LARGE', `The body is longer than ${reason.limit} bytes`)
  else if (typeof reason.type === 'string') refuse(response, 400, 'INVALID_REQUEST', 'The body is not JSON')
  else next(reason)
}

const readers = express.json({ limit: OF_READERS.bodyBytes })
const strangers = express.json({ limit: OF_STRANGERS.bodyBytes })

/**
 * Reads the operation of a request. A host that has read the body already is taken at its word. `limitsOf`: how much is read of whom.
 */
export function readOperation(
  limitsOf: (response: Response) => ReadLimits = () => OF_READERS,
): readonly (RequestHandler | ErrorRequestHandler)[] {
  const read: RequestHandler = (request, response, next) =>
    (limitsOf(response) === OF_READERS ? readers : strangers)(request, response, next)
  return [toSomeHost, onlyJson, read, oneOperation, whatFailed]
}
