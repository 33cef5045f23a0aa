import type { Replicable } from '../../blob/replicable.ts'
import type { GeoSchemaBuilder } from './builder.ts'
import { defineEnums, type Enums } from './enums.ts'
import { shownError } from './errors.ts'
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
  /** Work that may fail in a way that is nobody's business: with what a client may know of it, also on an endpoint of the host. */
  safely<Result>(work: () => Promise<Result>): Promise<Result>
}

export type ApiParts = Omit<Api, 'enums' | 'safely'>

export function apiOf(parts: ApiParts): Api {
  return Object.freeze({
    ...parts,
    enums: defineEnums(parts.builder),
    async safely<Result>(work: () => Promise<Result>) {
      try {
        return await work()
      } catch (reason) {
        throw shownError(reason, parts.sources.logger)
      }
    },
  })
}
