import { createRequire } from 'node:module'
import { GraphQLError, GraphQLSchema, version } from 'graphql'
import { createGraphQLError } from 'graphql-yoga'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { createGraphqlSites, type GraphqlSites } from '../../support/graphql-sites.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The version of graphql that this run is about. */
    graphqlMajor: number
  }
}

let sites: GraphqlSites
beforeAll(async () => {
  sites = await createGraphqlSites()
})
afterAll(() => sites?.close())

describe('The version of graphql in this run', () => {
  const major = inject('graphqlMajor')

  it('is the one that this run is about', () => {
    expect(version).toMatch(new RegExp(`^${major}\\.`))
  })

  it('is the one that a package gets which requires it', () => {
    // From where Pothos lies: what it resolves to is what Pothos and Yoga have.
    const required = createRequire(import.meta.resolve('@pothos/core'))('graphql')
    expect(required.version).toBe(version)
    expect(required.GraphQLSchema).toBe(GraphQLSchema)
  })

  it('is the one that Pothos makes its schemas with, and Yoga its errors', () => {
    expect(sites.graphql.paris.schema()).toBeInstanceOf(GraphQLSchema)
    expect(createGraphQLError('any')).toBeInstanceOf(GraphQLError)
  })

  it('carries an operation out', async () => {
    expect(await sites.data('{ geoNode { name } }')).toEqual({ geoNode: { name: 'paris' } })
  })
})
