import type { Site } from '../../../site-table.ts'
import type { SiteStatus } from '../../status/fields.ts'
import type { Tone } from '../parts/badge.ts'

/** The health statuses of GB.J.1, in the order of the tabs. */
export const SITE_HEALTHS = Object.freeze(['healthy', 'unhealthy', 'disabled', 'unknown', 'offline'] as const)
export type SiteHealth = (typeof SITE_HEALTHS)[number]

export const HEALTH_TITLES: Readonly<Record<SiteHealth, string>> = Object.freeze({
  healthy: 'Healthy',
  unhealthy: 'Unhealthy',
  disabled: 'Disabled',
  unknown: 'Unknown',
  offline: 'Offline',
})

export const HEALTH_TONES: Readonly<Record<SiteHealth, Tone>> = Object.freeze({
  healthy: 'good',
  unhealthy: 'bad',
  disabled: 'off',
  unknown: 'warn',
  offline: 'bad',
})

export function healthOf(site: Site, status: SiteStatus | undefined): SiteHealth {
  if (!site.enabled) return 'disabled'
  if (!status || status.updated_at === null) return 'unknown'
  if (status.health?.startsWith('SITE_OFFLINE')) return 'offline'
  return status.healthy ? 'healthy' : 'unhealthy'
}
