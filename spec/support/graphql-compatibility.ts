import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { buildSchema, findBreakingChanges, type GraphQLSchema } from 'graphql'

/** The schema as it was released last, for the types of the fixture host. `npm run docs -- --release` writes it. */
export const RELEASED_SCHEMA = fileURLToPath(new URL('../../fixtures/released-schema.graphql', import.meta.url))
const CHANGELOG = fileURLToPath(new URL('../../CHANGELOG.md', import.meta.url))

/** What would break clients of the released schema, a sentence each. */
export function breakingChanges(released: string, now: GraphQLSchema): string[] {
  return findBreakingChanges(buildSchema(released), now).map(({ description }) => description)
}

/** Those of them that users are not told of: each must stand, as it is, in the unreleased part of the changelog. */
export async function untoldBreakingChanges(now: GraphQLSchema): Promise<string[]> {
  const [released, changelog] = await Promise.all([readFile(RELEASED_SCHEMA, 'utf8'), readFile(CHANGELOG, 'utf8')])
  const unreleased = changelog.split(/^## /m)[1] ?? ''
  return breakingChanges(released, now).filter((change) => !unreleased.includes(change))
}
