import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  GraphQLError,
  Kind,
  type SelectionSetNode,
  type ValueNode,
} from 'graphql'
import { DEFAULT_PAGE_SIZE, LARGEST_PAGE } from './registries-field.ts'

/** How much one operation may ask for. */
export const LIMITS = Object.freeze({
  /** Lexical tokens of a document; longer ones are not even parsed. */
  tokens: 2000,
  /** Levels of fields, introspection aside. */
  depth: 12,
  /** Fields with a name of the client's. */
  aliases: 50,
  /** Values in the answer, at most: each field as often as the pages around it have rows. */
  cost: 100_000,
})

/** What is read, parsed and validated of an operation before it is known what it asks for. */
export interface ReadLimits {
  readonly bodyBytes: number
  /** Lexical tokens of a document; longer ones are not even parsed. */
  readonly tokens: number
}

export const OF_READERS: ReadLimits = Object.freeze({ bodyBytes: 128 * 1024, tokens: LIMITS.tokens })

/** Of whoever may read nothing, and is answered with null whatever is asked. */
export const OF_STRANGERS: ReadLimits = Object.freeze({ bodyBytes: 16 * 1024, tokens: 200 })

export interface Measure {
  readonly depth: number
  readonly aliases: number
  readonly cost: number
}

type Variables = Readonly<Record<string, unknown>>

const NOTHING: Measure = Object.freeze({ depth: 0, aliases: 0, cost: 0 })

/**
 * Measures an operation as if it were written out without fragments, but in one walk over each of them. The document is valid:
 * no fragment is within itself.
 */
export function measure(document: DocumentNode, operationName: string | null, variables: Variables): Measure {
  const fragments = new Map<string, FragmentDefinitionNode>()
  for (const node of document.definitions)
    if (node.kind === Kind.FRAGMENT_DEFINITION) fragments.set(node.name.value, node)
  const known = new Map<string, Measure>()

  const ofFragment = (name: string): Measure => {
    const found = known.get(name)
    if (found) return found
    known.set(name, NOTHING)
    const fragment = fragments.get(name)
    const measured = fragment ? ofSelections(fragment.selectionSet) : NOTHING
    known.set(name, measured)
    return measured
  }
  const ofField = (field: FieldNode): Measure => {
    const aliases = field.alias ? 1 : 0
    if (!field.selectionSet) return { depth: 1, aliases, cost: 1 }
    const within = ofSelections(field.selectionSet)
    return {
      depth: field.name.value.startsWith('__') ? 1 : within.depth + 1,
      aliases: aliases + within.aliases,
      cost: 1 + within.cost * rowsOf(field, variables),
    }
  }
  const ofSelections = ({ selections }: SelectionSetNode): Measure => {
    const all = selections.map((each) => {
      if (each.kind === Kind.FIELD) return ofField(each)
      return each.kind === Kind.FRAGMENT_SPREAD ? ofFragment(each.name.value) : ofSelections(each.selectionSet)
    })
    return {
      depth: Math.max(0, ...all.map(({ depth }) => depth)),
      aliases: all.reduce((sum, each) => sum + each.aliases, 0),
      cost: all.reduce((sum, each) => sum + each.cost, 0),
    }
  }

  const operations = document.definitions.filter((node) => node.kind === Kind.OPERATION_DEFINITION)
  const operation = operationName ? operations.find(({ name }) => name?.value === operationName) : operations[0]
  return operation ? ofSelections(operation.selectionSet) : NOTHING
}

/** Why an operation is not carried out, or null. */
export function limitError(measured: Measure): GraphQLError | null {
  for (const what of ['depth', 'aliases', 'cost'] as const) {
    if (measured[what] <= LIMITS[what]) continue
    const shown = measured[what] > Number.MAX_SAFE_INTEGER ? 'far too much' : measured[what]
    return new GraphQLError(`The ${what} of this operation is ${shown}, and may be ${LIMITS[what]} at most`, {
      extensions: { code: 'OPERATION_TOO_LARGE', http: { status: 400 } },
    })
  }
  return null
}

const CONNECTION = /(Registries|Namespaces)$/

/** How many rows a connection may have; 1 for any other field. */
function rowsOf(field: FieldNode, variables: Variables): number {
  if (!CONNECTION.test(field.name.value)) return 1
  const sizes = (field.arguments ?? []).filter(({ name }) => name.value === 'first' || name.value === 'last')
  return sizes.length === 0 ? DEFAULT_PAGE_SIZE : Math.max(...sizes.map(({ value }) => sizeOf(value, variables)))
}

function sizeOf(value: ValueNode, variables: Variables): number {
  const given = value.kind === Kind.VARIABLE ? variables[value.name.value] : 'value' in value ? value.value : null
  if (given === null || given === undefined) return DEFAULT_PAGE_SIZE
  // What is no number GraphQL refuses later; an object may not even be made one.
  const size = typeof given === 'object' ? Number.NaN : Number(given)
  return Number.isFinite(size) ? Math.min(Math.max(size, 1), LARGEST_PAGE) : LARGEST_PAGE
}
