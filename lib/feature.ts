import type { Replicable } from './blob/replicable.ts'
import type { SiteDirectory } from './site.ts'

/** The part of an unleash-client instance that the gate asks. */
export interface FeaturesLike {
  isEnabled(
    flag: string,
    context?: { properties?: Record<string, string> },
    fallback?: boolean | (() => boolean),
  ): boolean
  /** What it knows of a flag; undefined where it does not know the flag. Asked by `geo check type` alone. */
  getFeatureToggleDefinition?(flag: string): unknown
}

/** The property of the context that says which site asks: a flag can be constrained by it. */
export const SITE_NAME_FIELD = 'siteName'

/**
 * The gate `geo_<name>_replication`, asked at each decision and never remembered. The context carries `siteName`. Where the
 * flag is on for some sites only, the primary counts as on if any site is: it must publish for that one.
 */
export class FeatureGate {
  readonly #features: FeaturesLike | null
  readonly #sites: SiteDirectory

  constructor(features: FeaturesLike | null, sites: SiteDirectory) {
    this.#features = features
    this.#sites = sites
  }

  /** At this site. */
  replicationEnabled(replicable: Replicable): boolean {
    const { role, me, siteName } = this.#sites
    return role === 'primary' ? this.onAtPrimary(replicable) : this.onAt(replicable, me?.name ?? siteName)
  }

  onAtPrimary(replicable: Replicable): boolean {
    if (!this.#features) return replicable.released !== null
    return this.#sites.enabledNames.some((siteName) => this.onAt(replicable, siteName))
  }

  /** At a secondary. */
  onAt(replicable: Replicable, siteName: string): boolean {
    const byDeclaration = replicable.released !== null
    if (!this.#features) return byDeclaration
    const context = { properties: { [SITE_NAME_FIELD]: siteName } }
    return this.#features.isEnabled(replicable.names.flag, context, () => byDeclaration)
  }
}
