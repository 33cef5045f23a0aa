import express, { type Request, type RequestHandler } from 'express'
import type { z } from 'zod'
import { badParams, RestError } from './rest-error.ts'

const LONGEST_BODY = '64kb'
const BODY_TYPES = ['json', 'urlencoded']

/** Reads bodies in JSON and of forms; anything else is 415. What the host has read already is taken as it is. */
export const readBody: readonly RequestHandler[] = [
  (request, _response, next) => {
    // Clients that say nothing say so with a length of 0.
    if (request.get('content-length') === '0' || request.is(BODY_TYPES) !== false) next()
    else {
      const type = request.get('content-type') ?? ''
      next(new RestError(415, { error: `The provided content-type '${type}' is not supported` }))
    }
  },
  express.json({ limit: LONGEST_BODY }),
  express.urlencoded({ extended: false, limit: LONGEST_BODY }),
]

/**
 * What a request says under the names of the shape, from its address and its body together; other names are ignored.
 * @throws RestError 400 that names each parameter that is missing or of another type
 */
export function paramsOf<Shape extends z.ZodObject>(request: Request, shape: Shape): z.output<Shape> {
  const body: unknown = request.body ?? {}
  if (typeof body !== 'object' || Array.isArray(body)) throw badParams(['the body is not an object'])
  const given = { ...queryOf(request), ...(listed(Object.entries(body as object)) as object) }
  const parsed = shape.safeParse(given)
  if (parsed.success) return parsed.data
  const names = new Set(parsed.error.issues.map(({ path }) => String(path[0])))
  throw badParams([...names].map((name) => `${name} is ${Object.hasOwn(given, name) ? 'invalid' : 'missing'}`))
}

function queryOf(request: Request): object {
  const [, query = ''] = request.originalUrl.split('?', 2)
  return listed(new URLSearchParams(query))
}

/** `name[]` is one entry of a list, as clients of GitLab write it; any other name that comes twice has its last value. */
function listed(entries: Iterable<[string, unknown]>): object {
  const values = new Map<string, unknown>()
  for (const [name, value] of entries) {
    if (!name.endsWith('[]')) values.set(name, value)
    else {
      const bare = name.slice(0, -2)
      const before = values.get(bare)
      values.set(bare, [...(Array.isArray(before) ? before : []), value].flat())
    }
  }
  return Object.fromEntries(values)
}
