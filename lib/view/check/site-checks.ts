import { lastPromotion } from '../../failover/promotion-table.ts'
import { FeatureGate } from '../../feature.ts'
import { openSecret } from '../../secret.ts'
import type { SiteKey } from '../../site-key.ts'
import type { Site } from '../../site-table.ts'
import { type Check, no, noBy, skipped, yes } from './outcome.ts'
import type { CheckSources } from './sources.ts'

/** Who this site is. */
export function siteChecks({ sites, settings }: CheckSources): Check[] {
  return [
    {
      name: "This machine's site name matches a database record",
      async ask() {
        await sites.refresh()
        if (sites.staleness) return noBy('STALE_EPOCH', sites.staleness.message)
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
        return settings.encryptionKeys.length > 1 ? yes(encryptedBy(sites.all, settings.encryptionKeys)) : yes()
      },
    },
  ]
}

/** Which keys of the list still have something to decrypt: the others need no longer be in it. */
function encryptedBy(sites: readonly Site[], encryptionKeys: readonly Buffer[]): string {
  const keys = sites.flatMap((site): SiteKey[] => (site.nextKey ? [site, site.nextKey] : [site]))
  const used = new Set(keys.map(({ secret, accessKey }) => openSecret(secret, encryptionKeys, accessKey).by + 1))
  const numbers = [...used].sort((left, right) => left - right).join(' and ')
  return `with number ${numbers} of the ${encryptionKeys.length} of encryptionKey`
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

/** Whether the primary is one to the end: it takes writes, and nothing is left of an earlier life as a secondary (GB.K.3). */
export function primaryChecks({ settings, databases, sites }: CheckSources): Check[] {
  return [
    {
      name: 'The primary takes writes',
      async ask() {
        const readOnly = sites.me?.readOnly
        if (!readOnly) return yes()
        return noBy('READ_ONLY_MODE', `It is read only since ${new Date(readOnly.sinceMs).toISOString()}`)
      },
    },
    {
      name: 'All that a promotion may have lost was looked at',
      async ask() {
        const promotion = await lastPromotion(databases.main)
        if (!promotion) return yes('there was none')
        if (promotion.ended) return yes()
        return no(
          'The promotion was broken off while it looked',
          'Run `geo promote` again, before `trackingDb` is removed: its registries tell what is proven.',
        )
      },
    },
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
