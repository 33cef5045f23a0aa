import type { Replicable } from '../../blob/replicable.ts'
import type { GeoSchemaBuilder } from './builder.ts'
import { defineEnums, type Enums } from './enums.ts'
import type { Reader } from './reader.ts'
import type { GraphqlSources } from './sources.ts'

/** What every part of the schema is defined with. */
export interface Api {
  readonly builder: GeoSchemaBuilder
  readonly sources: GraphqlSources
  /** The types that can be seen. */
  readonly replicables: readonly Replicable[]
  readonly enums: Enums
  readerOf(context: object): Reader
}

export function apiOf(parts: Omit<Api, 'enums'>): Api {
  return Object.freeze({ ...parts, enums: defineEnums(parts.builder) })
}
