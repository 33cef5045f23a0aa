/** How a suite asks the secondary of the bench over GraphQL: hosts have an HTTP client of their own choice. */

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
