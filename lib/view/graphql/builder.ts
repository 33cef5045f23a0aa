import SchemaBuilder from '@pothos/core'
import RelayPlugin from '@pothos/plugin-relay'
import type { FoundRegistries } from '../registries/finder.ts'

/** What a Pothos builder of a host must know so that our types can be added to it. */
export interface GeoSchemaTypes {
  Scalars: {
    ID: { Input: string; Output: string }
    /** ISO 8601. */
    Time: { Input: string; Output: string }
    /** A whole number beyond 2³¹, in JSON a number. */
    BigInt: { Input: number; Output: number }
    /** The names of the others are derived from the declared types. */
    RegistryID: { Input: string; Output: never }
  }
  Connection: { found?: FoundRegistries }
}

/** The part of a context that our fields need, wherever a host's has it. */
export type GeoSchemaBuilder = PothosSchemaTypes.SchemaBuilder<
  PothosSchemaTypes.ExtendDefaultTypes<GeoSchemaTypes & { Context: object }>
>

export function newBuilder(): GeoSchemaBuilder {
  return new SchemaBuilder<GeoSchemaTypes & { Context: object }>({
    plugins: [RelayPlugin],
    relay: {
      clientMutationId: 'optional',
      cursorType: 'String',
      nodesOnConnection: true,
      nodeQueryOptions: false,
      nodesQueryOptions: false,
    },
  })
}
