import { request } from 'node:http'

/** How a suite asks the secondary over GraphQL. */

export interface AskOptions {
  /** Who asks: somebody who may `read_geo`, or somebody who may nothing. Default `reader`. */
  readonly as?: 'reader' | 'nobody'
  readonly variables?: Readonly<Record<string, unknown>>
}

/** What has been answered, as JSON. */
export interface Answer {
  // biome-ignore lint/suspicious/noExplicitAny: what it holds is what was asked for
  readonly data?: any
  readonly errors?: readonly { readonly message: string; readonly extensions?: { readonly code?: string } }[]
}

/** Posts an operation to `/api/graphql` of the secondary and returns the body of the answer. */
export type Ask = (query: string, options?: AskOptions) => Promise<Answer>

/** The header by which a site of the suites knows who asks. */
export const ROLE_HEADER = 'x-role'

/** Asks the site at that URL, over HTTP. */
export const asking =
  (siteUrl: () => string): Ask =>
  async (query, { as = 'reader', variables } = {}) =>
    postJson(new URL('/api/graphql', siteUrl()), { [ROLE_HEADER]: as }, { query, variables }) as Promise<Answer>

async function postJson(url: URL, headers: Record<string, string>, body: unknown): Promise<unknown> {
  const bytes = Buffer.from(JSON.stringify(body))
  const own = { 'content-type': 'application/json', 'content-length': bytes.length }
  return new Promise((resolve, reject) => {
    // A connection of its own, which is over with the answer: nothing is left open that a runner would wait for.
    const post = request(url, { method: 'POST', agent: false, headers: { ...headers, ...own } }, (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('error', reject)
      answer.on('end', () => {
        try {
          resolve(JSON.parse(Buffer.concat(chunks).toString()))
        } catch (reason) {
          reject(reason)
        }
      })
    })
    post.on('error', reject)
    post.end(bytes)
  })
}
