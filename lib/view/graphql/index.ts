import type { SchemaTypes } from '@pothos/core'
import type { Request } from 'express'
import type { GraphQLSchema } from 'graphql'
import { ConfigurationError } from '../../errors.ts'
import type { GeoSchemaBuilder, GeoSchemaTypes } from './builder.ts'
import { openEndpoint, readerOfRequest } from './endpoint.ts'
import type { GraphqlContext, Reader } from './reader.ts'
import { defineGeo, schemaOf } from './schema.ts'
import type { GraphqlPart, GraphqlSources } from './sources.ts'

export type { GeoSchemaBuilder, GeoSchemaTypes } from './builder.ts'
export { LIMITS as GRAPHQL_LIMITS } from './limits.ts'
export type { GraphqlContext, Reader } from './reader.ts'

/** The types of a Pothos builder of a host, of which ours are a part. */
export type HostSchemaTypes = SchemaTypes & { readonly Scalars: Pick<GeoSchemaTypes['Scalars'], 'Time' | 'BigInt'> }

/** The GraphQL API of one createGeo, and what a host with an endpoint of its own needs of it. */
export interface GeoGraphql extends GraphqlPart {
  /**
   * The whole schema, for an endpoint of the host: it shows all declared types, and those whose flag is off are empty. Its context
   * must be, or hold, what `context` returns; its errors have their codes and tell nothing of what is inside. Throws ConfigurationError `INVALID_OPTIONS` before createGeo had it.
   */
  schema(): GraphQLSchema
  /** What our fields need of a request: who asks, and what they may, as the options `authorize` and `operator` say. */
  context(request: Request): GraphqlContext
  /**
   * Adds our types and the query and mutation fields to a Pothos builder of the host. It needs the relay plugin, the types of
   * `GeoSchemaTypes`, the scalars `Time` and `BigInt`, a query type and a mutation type. `readerOf` finds in a context of the
   * host what `context` returned as `geoReader`. How connections and inputs look follows the builder's options of that plugin.
   */
  addTo<Types extends HostSchemaTypes>(
    builder: PothosSchemaTypes.SchemaBuilder<Types>,
    readerOf: (context: Types['Context']) => Reader,
  ): void
}

/** What is passed to createGeo as its option `graphql`, once. */
export function geoGraphql(): GeoGraphql {
  let opened: GraphqlSources | null = null
  const never = new AbortController().signal
  const sources = (): GraphqlSources => {
    if (opened) return opened
    throw new ConfigurationError('INVALID_OPTIONS', 'Pass geoGraphql() to createGeo as its option `graphql` first')
  }
  return Object.freeze({
    open(given: GraphqlSources) {
      if (opened) throw new ConfigurationError('INVALID_OPTIONS', 'One geoGraphql() is for one createGeo')
      opened = given
      return openEndpoint(given)
    },
    schema: () => schemaOf({ sources: sources(), ending: never }, sources().settings.replicables),
    context: (request: Request) => ({ geoReader: readerOfRequest(sources(), request) }),
    addTo(builder: object, readerOf: (context: never) => Reader) {
      const parts = { sources: sources(), replicables: sources().settings.replicables }
      // Of the host's types those that are asked for are enough; Pothos's own cannot say so.
      defineGeo({ ...parts, builder: builder as GeoSchemaBuilder, readerOf: readerOf as (context: object) => Reader })
    },
  })
}
