import type { GraphQLSchema } from 'graphql'
import type { Replicable } from '../../blob/replicable.ts'
import { type ApiParts, apiOf } from './api.ts'
import { type GeoSchemaBuilder, newBuilder } from './builder.ts'
import { defineBulkRunType } from './bulk-run-type.ts'
import { defineMutations } from './mutations.ts'
import { defineProgressType } from './progress-type.ts'
import { defineQueries } from './queries.ts'
import type { GraphqlContext } from './reader.ts'
import { defineRegistriesField } from './registries-field.ts'
import { defineRegistryType } from './registry-type.ts'
import { defineScalars } from './scalars.ts'
import { defineSiteType } from './site-type.ts'
import type { GraphqlSources } from './sources.ts'
import { defineSubscriptions } from './subscriptions.ts'

/** Adds everything of ours to a builder: `Query`, `Mutation` and `Subscription` are the builder's. */
export function defineGeo(parts: ApiParts) {
  const api = apiOf(parts)
  const progress = defineProgressType(api)
  const run = defineBulkRunType(api)
  const site = defineSiteType(api, progress)
  const registries = new Map(api.replicables.map((replicable) => [replicable, defineRegistryType(api, replicable)]))
  for (const [replicable, registry] of registries) defineRegistriesField(api, replicable, registry, site)
  defineQueries(api, site, run)
  // A union and an enum of nothing cannot be: without a visible type there is nothing to change.
  if (registries.size > 0) defineMutations(api, registries, run)
  return { api, progress, run }
}

export interface SchemaParts {
  readonly sources: GraphqlSources
  readonly ending: AbortSignal
}

/** The schema that shows the given types. */
export function schemaOf({ sources, ending }: SchemaParts, replicables: readonly Replicable[]): GraphQLSchema {
  const builder: GeoSchemaBuilder = newBuilder()
  builder.queryType({})
  if (replicables.length > 0) builder.mutationType({})
  defineScalars(builder)
  const { api, progress, run } = defineGeo({
    builder,
    sources,
    replicables,
    readerOf: (context) => (context as GraphqlContext).geoReader,
  })
  defineSubscriptions(api, progress, run, ending)
  return builder.toSchema()
}

/**
 * The schemas by what can be seen in them (GB.H.7): a type whose flag is off and that is not released is in none, so that naming
 * it is a validation error and introspection does not tell of it. Each is made once.
 */
export class VisibleSchemas {
  readonly #parts: SchemaParts
  readonly #made = new Map<string, GraphQLSchema>()

  constructor(parts: SchemaParts) {
    this.#parts = parts
  }

  /** What can be seen at this moment. */
  now(): GraphQLSchema {
    const { settings, gate } = this.#parts.sources
    const visible = settings.replicables.filter((type) => type.released !== null || gate.replicationEnabled(type))
    const names = visible.map(({ name }) => name).join(' ')
    const schema = this.#made.get(names) ?? schemaOf(this.#parts, visible)
    this.#made.set(names, schema)
    return schema
  }
}
