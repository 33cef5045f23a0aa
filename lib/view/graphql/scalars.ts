import { GraphQLError, Kind, type ValueNode } from 'graphql'
import type { Replicable } from '../../blob/replicable.ts'
import type { GeoSchemaBuilder } from './builder.ts'

/** The scalars that a schema of ours has beside GraphQL's own. A host's builder may have a Time and a BigInt already. */
export function defineScalars(builder: GeoSchemaBuilder): void {
  builder.scalarType('Time', {
    description: 'A moment, ISO 8601 in UTC.',
    serialize: (value) => value,
    parseValue: (value) => String(value),
  })
  builder.scalarType('BigInt', {
    description: 'A whole number that may be beyond 32 bits; in JSON a number.',
    serialize: (value) => Number(value),
    parseValue: (value) => Number(value),
  })
}

const GLOBAL_ID = /^gid:\/\/gitlab\/Geo::([A-Z][A-Za-z0-9]*)\/(\d{1,19})$/
const HIGHEST_ID = 2n ** 63n - 1n

export interface GlobalRegistryId {
  readonly replicable: Replicable
  readonly registryId: string
}

function parseGlobalId(value: unknown, replicables: readonly Replicable[], what: string): GlobalRegistryId {
  const shown = JSON.stringify(value)?.slice(0, 100) ?? typeof value
  const [, registryClass, id] = (typeof value === 'string' && GLOBAL_ID.exec(value)) || []
  if (id === undefined || BigInt(id) > HIGHEST_ID) throw new GraphQLError(`${shown} is not a valid Global ID`)
  const replicable = replicables.find(({ names }) => names.registryClass === registryClass)
  if (!replicable) throw new GraphQLError(`${shown} does not represent an instance of ${what}`)
  return { replicable, registryId: String(BigInt(id)) }
}

function scalarOf(builder: GeoSchemaBuilder, name: string, replicables: readonly Replicable[], what: string) {
  const parseValue = (value: unknown) => parseGlobalId(value, replicables, what)
  // The names of the scalars follow from the declared types, which the builder's own types cannot know.
  return builder.scalarType(name as 'RegistryID', {
    description: `A global id of ${what}: gid://gitlab/Geo::…/1`,
    serialize: (): never => {
      throw new TypeError(`${name} is for input`)
    },
    parseValue: parseValue as unknown as (value: unknown) => string,
    parseLiteral: ((node: ValueNode) =>
      parseValue(node.kind === Kind.STRING ? node.value : printed(node))) as unknown as () => string,
  })
}

const printed = (node: ValueNode): unknown => ('value' in node ? Number(node.value) : node.kind)

/** `WidgetRegistryID`, which takes ids of widgets' registries alone. */
export function defineRegistryId(builder: GeoSchemaBuilder, replicable: Replicable) {
  const { registryClass } = replicable.names
  return scalarOf(builder, `${registryClass}ID`, [replicable], `Geo::${registryClass}`)
}

/** `AnyRegistryID`, which takes ids of registries of all types. */
export function defineAnyRegistryId(builder: GeoSchemaBuilder, replicables: readonly Replicable[]) {
  return scalarOf(builder, 'AnyRegistryID', replicables, 'Geo::BaseRegistry')
}
