import { type GraphQLSchema, lexicographicSortSchema, printSchema } from 'graphql'
import type { Replicable } from '../../../lib/blob/replicable.ts'
import { schemaOf } from '../../../lib/view/graphql/schema.ts'
import type { GraphqlSources } from '../../../lib/view/graphql/sources.ts'

/** The schema that shows the given types. Nothing can be asked of it. */
export function documentedSchema(types: readonly Pick<Replicable, 'name' | 'names'>[]): GraphQLSchema {
  const sources = {} as GraphqlSources
  return lexicographicSortSchema(
    schemaOf({ sources, ending: new AbortController().signal }, types as readonly Replicable[]),
  )
}

export function graphqlSchema(types: readonly Pick<Replicable, 'name' | 'names'>[]): string {
  return `# Written by npm run docs from the code. Do not edit.\n\n${printSchema(documentedSchema(types))}\n`
}
