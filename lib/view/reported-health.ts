import type { Knex } from 'knex'
import { type GatheredStatus, loadNodeStatuses } from '../node-status-table.ts'
import type { SiteDirectory } from '../site.ts'
import { loadOwnStatus } from '../site-status-table.ts'
import { toldProgresses } from '../told-status.ts'
import { parseBacklog } from './backlog.ts'
import { type Finding, finding } from './finding.ts'
import { OFFLINE_AFTER_S } from './status/present.ts'
import { toldProgress } from './status/told-progress.ts'

/** Tokens live for a minute: beyond this the sites cannot talk. */
const SKEWED_AFTER_MS = 60_000
/** The metrics job rests a minute at most: beyond this something keeps it from its work. */
const GATHERING_STUCK_AFTER_S = 600

/**
 * What the metrics job and the reports have left: nothing is counted here. `gathered` is what that job has at this moment,
 * where it is the one that asks.
 */
export async function checkReported(
  main: Knex,
  tracking: Knex | null,
  sites: SiteDirectory,
  gathered: GatheredStatus | null,
): Promise<Finding[]> {
  if (sites.role === 'primary') return checkPrimary(main, sites, gathered)
  return tracking ? checkSecondary(tracking, sites, gathered) : []
}

async function checkPrimary(
  main: Knex,
  { all, me }: SiteDirectory,
  gathered: GatheredStatus | null,
): Promise<Finding[]> {
  const statuses = await loadNodeStatuses(main)
  const own = me && statuses.get(me.id)
  const findings = all.flatMap((site) => {
    const silentSeconds = statuses.get(site.id)?.lastReportAgeSeconds ?? null
    if (site.primary || !site.enabled || silentSeconds === null || silentSeconds <= OFFLINE_AFTER_S) return []
    const message = `The primary has not heard of ${site.name} for ${Math.round(silentSeconds)} seconds`
    return [finding('SECONDARY_OFFLINE', message)]
  })
  const status = gathered ?? own?.status ?? {}
  for (const plural of Object.keys(toldProgresses(status))) {
    const { corrupt_count: corrupt } = toldProgress(status, plural)
    if (!corrupt) continue
    const message = `${corrupt} of the ${plural.replaceAll('_', ' ')} on the primary are not as recorded`
    findings.push(finding('CORRUPT_ON_PRIMARY', message))
  }
  return [...findings, ...outdated(gathered ? null : (own?.updatedAgeSeconds ?? null))]
}

async function checkSecondary(
  tracking: Knex,
  { me }: SiteDirectory,
  gathered: GatheredStatus | null,
): Promise<Finding[]> {
  const own = await loadOwnStatus(tracking)
  if (!own || !me?.enabled) return []
  const findings: Finding[] = []
  const silentSeconds = own.reportedAgeSeconds ?? own.reportFailingSeconds
  if (silentSeconds !== null && silentSeconds > OFFLINE_AFTER_S) {
    const why = own.reportFailure ? `: ${own.reportFailure}` : ''
    const message = `This site has not reported to the primary for ${Math.round(silentSeconds)} seconds${why}`
    findings.push(finding('SITE_OFFLINE', message))
  }
  if (own.clockSkewMs !== null && Math.abs(own.clockSkewMs) >= SKEWED_AFTER_MS) {
    const seconds = Math.round(Math.abs(own.clockSkewMs) / 1000)
    const direction = own.clockSkewMs > 0 ? 'ahead of' : 'behind'
    findings.push(finding('CLOCK_SKEW', `The clock of this site is ${seconds} seconds ${direction} the primary's`))
  }
  const { fallingBehind, samples } = parseBacklog((gathered ?? own.status)['backlog'])
  if (fallingBehind) {
    const [first, last] = [samples[0]?.waiting, samples.at(-1)?.waiting]
    const message = `Blobs that wait for their first attempt have grown from ${first} to ${last} in ten minutes`
    findings.push(finding('FALLING_BEHIND', message))
  }
  return [...findings, ...outdated(gathered ? null : own.gatheredAgeSeconds)]
}

function outdated(ageSeconds: number | null): Finding[] {
  if (ageSeconds === null || ageSeconds <= GATHERING_STUCK_AFTER_S) return []
  const message = `The status of this site was gathered ${Math.round(ageSeconds / 60)} minutes ago: the metrics job does not get through`
  return [finding('STATUS_OUTDATED', message)]
}
