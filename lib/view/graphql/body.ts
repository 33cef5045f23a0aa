import express, { type ErrorRequestHandler, type RequestHandler, type Response } from 'express'
import { z } from 'zod'

/** What comes before GraphQL: one operation as JSON, of a bounded size, which no page of another site can send unasked. */

const LONGEST_BODY = '128kb'

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

const oneOperation: RequestHandler = (request, response, next) => {
  if (request.method === 'GET') return next()
  const parsed = operationShape.safeParse(request.body)
  if (!parsed.success) return refuse(response, 400, 'INVALID_REQUEST', 'The body is no GraphQL operation')
  request.body = parsed.data
  next()
}

const whatFailed: ErrorRequestHandler = (reason: { type?: unknown }, _request, response, next) => {
  if (reason.type === 'entity.too.large')
    refuse(response, 413, 'REQUEST_TOO_LARGE', `The body is longer than ${LONGEST_BODY}`)
  else if (typeof reason.type === 'string') refuse(response, 400, 'INVALID_REQUEST', 'The body is not JSON')
  else next(reason)
}

/** Reads the operation of a request. A host that has read the body already is taken at its word. */
export const readOperation: readonly (RequestHandler | ErrorRequestHandler)[] = [
  onlyJson,
  express.json({ limit: LONGEST_BODY }),
  oneOperation,
  whatFailed,
]
