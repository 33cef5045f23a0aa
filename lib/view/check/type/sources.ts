import type { Replicable } from '../../../blob/replicable.ts'
import type { FeatureGate } from '../../../feature.ts'
import type { GraphqlPart } from '../../graphql/sources.ts'
import type { CheckSources } from '../sources.ts'

/** What is asked of an assembly about one type. */
export interface TypeCheckSources extends CheckSources {
  readonly gate: FeatureGate
  readonly byName: ReadonlyMap<string, Replicable>
  readonly settings: CheckSources['settings'] & {
    readonly graphql: GraphqlPart | null
    readonly eventRetentionMs: number
  }
  readonly viewing: {
    /** What a scrape of this process is answered with; null without the option `metrics`. */
    readonly scrape: (() => Promise<string>) | null
    /** The fields of a site that GraphQL shows now; null without the option `graphql`. */
    readonly siteFields: (() => readonly string[]) | null
  }
}
