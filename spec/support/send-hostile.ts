import fc from 'fast-check'
import { expect } from 'vitest'
import type { GraphqlSites } from './graphql-sites.ts'
import { type HostileRequest, hostileRequest } from './hostile-operations.ts'

// What a failure inside would show: a place in the code, a statement, or what pg and Knex say.
const INSIDE =
  /node_modules|\.ts:|\.js:|select .* from|insert into|from "|relation "|error at or near|bindings|Cannot read prop/

/** Sends so many hostile requests, the same for the same seed. Throws at the first that is answered as none should be. */
export async function sendHostile(
  sites: GraphqlSites,
  { seed, count }: { seed: number; count: number },
): Promise<number> {
  let sent = 0
  await fc.assert(
    fc.asyncProperty(hostileRequest, async (hostile) => {
      await send(sites.parisUrl, hostile)
      sent += 1
    }),
    { seed, numRuns: count, endOnFailure: true },
  )
  return sent
}

async function send(url: string, { method, type, role, body }: HostileRequest): Promise<void> {
  const at = new URL('api/graphql', url)
  if (method === 'GET') at.searchParams.set('query', body.slice(0, 4000))
  const response = await fetch(at, {
    method,
    headers: { 'x-role': role, accept: 'application/json', ...(method === 'POST' && { 'content-type': type }) },
    ...(method === 'POST' && { body }),
  })
  const text = await response.text()
  expect(
    response.status === 200 || (response.status >= 400 && response.status < 500),
    `${response.status} ${text}`,
  ).toBe(true)
  const answer = JSON.parse(text) as { data?: unknown; errors?: { extensions?: { code?: string } }[] }
  for (const { extensions } of answer.errors ?? []) expect(extensions?.code, text).toMatch(/^(?!INTERNAL)[A-Z_]+$/)
  if (!answer.errors) expect(answer).toHaveProperty('data')
  // What the client sent may come back to it in a message.
  expect(withoutEchoes(text)).not.toMatch(INSIDE)
}

function withoutEchoes(text: string): string {
  return text.replaceAll(/\\"(?:[^\\]|\\[^"])*\\"/g, '')
}
