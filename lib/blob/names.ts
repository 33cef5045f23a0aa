/** All names that follow from the name of a replicable. Nothing else in the SDK puts such a name together. */
export interface ReplicableNames {
  readonly name: string
  readonly plural: string
  /** `Widget`: in messages and titles. */
  readonly className: string
  readonly flag: string
  readonly registryTable: string
  /** The column of the registry, and of a separate state table, that holds the key of the host's row. */
  readonly foreignKey: string
  readonly stateTable: string
  /** GraphQL: `WidgetRegistry`, the type and the class in its global ids. */
  readonly registryClass: string
  /** GraphQL: `WIDGET_REGISTRY`, in the enum of all such classes. */
  readonly registryEnum: string
  /** GraphQL: `widgetRegistries`, the field of a site. */
  readonly registriesField: string
  /** GraphQL: `widgetId`, the field of a registry with the key of the host's row. */
  readonly recordIdField: string
}

/** What a host may call a table or a column without quoting the wrong thing. */
export const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_$]*$/

const LEGAL_NAME = /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/
// PostgreSQL cuts identifiers at 63 bytes, and the longest derived one is `index_<name>_registry_on_<name>_id`.
const LONGEST_NAME = 20

/** Why `name` cannot name a replicable, or null if it can. */
export function nameProblem(name: string): string | null {
  if (!LEGAL_NAME.test(name)) return 'must be in lower snake case and begin with a letter'
  if (name.length > LONGEST_NAME) return `must have at most ${LONGEST_NAME} characters`
  return null
}

function regularPlural(name: string): string {
  if (/[^aeiou]y$/.test(name)) return `${name.slice(0, -1)}ies`
  return /(s|x|z|ch|sh)$/.test(name) ? `${name}es` : `${name}s`
}

/** `line_items` as `lineItems`: what it is called in code. */
export function camelCase(name: string): string {
  return name.replaceAll(/_([a-z0-9])/g, (_, initial: string) => initial.toUpperCase())
}

export function deriveNames(name: string, irregular: { plural?: string; stateTable?: string } = {}): ReplicableNames {
  const className = name.replaceAll(/(?:^|_)([a-z0-9])/g, (_, initial: string) => initial.toUpperCase())
  const camelName = camelCase(name)
  return Object.freeze({
    name,
    plural: irregular.plural ?? regularPlural(name),
    className,
    flag: `geo_${name}_replication`,
    registryTable: `${name}_registry`,
    foreignKey: `${name}_id`,
    stateTable: irregular.stateTable ?? `${name}_states`,
    registryClass: `${className}Registry`,
    registryEnum: `${name.toUpperCase()}_REGISTRY`,
    registriesField: `${camelName}Registries`,
    recordIdField: `${camelName}Id`,
  })
}
