import type { ReplicableNames } from '../blob/names.ts'
import { SITE_NAME_FIELD } from '../feature.ts'

/** A flag as Unleash exports and imports it: what its page "Import" takes as a file, and its API as `data`. */
export interface FlagDefinition {
  readonly features: readonly { name: string; description: string; type: 'operational' }[]
  readonly featureStrategies: readonly {
    name: 'default'
    featureName: string
    parameters: Readonly<Record<string, never>>
    constraints: readonly { contextName: string; operator: 'IN'; values: readonly string[] }[]
  }[]
  readonly featureEnvironments: readonly { name: string; featureName: string; enabled: false }[]
  readonly contextFields: readonly { name: string; description: string; stickiness: false; legalValues: readonly [] }[]
  readonly featureTags: readonly []
  readonly segments: readonly []
  readonly tagTypes: readonly []
}

export interface FlagDefinitionOptions {
  /** The sites at which the flag counts as on once it is switched on. Default: all of them. */
  readonly sites?: readonly string[]
}

/**
 * The flag of a type, off, for Unleash. It takes the whole as a file on its page "Import", at its first start (`IMPORT_FILE`), or by
 * `POST /api/admin/features-batch/import` as `{"project": "default", "environment": "production", "data": …}`, with a personal access
 * token: tokens of type admin may not import. Importing it again makes everything as it is here: the flag is off again.
 */
export function flagDefinition(
  { flag, plural }: Pick<ReplicableNames, 'flag' | 'plural'>,
  { sites = [] }: FlagDefinitionOptions = {},
): FlagDefinition {
  const onlyFor = { contextName: SITE_NAME_FIELD, operator: 'IN' as const, values: [...sites] }
  return {
    features: [
      {
        name: flag,
        description: `Replication of ${plural.replaceAll('_', ' ')} to secondary sites`,
        type: 'operational',
      },
    ],
    featureStrategies: [
      { name: 'default', featureName: flag, parameters: {}, constraints: sites.length > 0 ? [onlyFor] : [] },
    ],
    featureEnvironments: [{ name: flag, featureName: flag, enabled: false }],
    contextFields: [
      { name: SITE_NAME_FIELD, description: 'The site that asks, as in geo_nodes', stickiness: false, legalValues: [] },
    ],
    featureTags: [],
    segments: [],
    tagTypes: [],
  }
}
