import { FeatureGate } from '../../feature.ts'
import { type Check, no, noBy, skipped, yes } from './outcome.ts'
import type { CheckSources } from './sources.ts'

/** Who this site is. */
export function siteChecks({ sites }: CheckSources): Check[] {
  return [
    {
      name: "This machine's site name matches a database record",
      async ask() {
        await sites.refresh()
        if (sites.me) return yes(`found a ${sites.role} site named "${sites.me.name}"`)
        const known = sites.all.map(({ name }) => `"${name}"`).join(', ') || 'none'
        return noBy(
          'SITE_UNKNOWN',
          `No site is named "${sites.siteName}"; known: ${known}`,
          'Add it on the primary with `geo site add`, or correct `siteName`.',
        )
      },
    },
    {
      name: 'The primary site is known',
      async ask() {
        return sites.primary ? yes(sites.primary.name) : noBy('PRIMARY_UNKNOWN', 'No site is marked as the primary')
      },
    },
    {
      name: 'This site is enabled',
      async ask() {
        if (!sites.me) return skipped('The site is not known')
        return sites.me.enabled ? yes() : noBy('SITE_DISABLED', 'This site is paused', 'Run `geo resume`.')
      },
    },
    {
      name: 'The keys of the sites can be decrypted',
      async ask() {
        // A secondary needs its own; the primary those of all.
        const wanted = sites.role === 'primary' ? sites.all : sites.all.filter((site) => site === sites.me)
        if (wanted.length === 0) return skipped('The site is not known')
        for (const key of wanted.flatMap((site) => sites.goodKeysOf(site))) sites.secretOf(key)
        return yes()
      },
    },
  ]
}

/** A flag that is off is an answer, not a fault. */
export function flagChecks({ settings, sites }: CheckSources): Check[] {
  const gate = new FeatureGate(settings.features, sites)
  return settings.replicables.map((replicable) => ({
    name: `The flag ${replicable.names.flag} is on`,
    async ask() {
      if (gate.replicationEnabled(replicable)) return yes()
      return skipped(
        settings.features
          ? 'It is off for this site: nothing of this type is replicated'
          : 'There are no `features`, and the type is not `released`',
      )
    },
  }))
}

/** What is left of an earlier life as a secondary (GB.K.3). */
export function promotedChecks({ settings }: CheckSources): Check[] {
  return [
    {
      name: 'The tracking database is not configured after promotion',
      async ask() {
        if (settings.trackingDb === null) return yes()
        return no(
          'This is the primary, and `trackingDb` is configured',
          'Remove `trackingDb` from the options of createGeo; the database can be dropped.',
        )
      },
    },
  ]
}
