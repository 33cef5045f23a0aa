import type { Replicable } from '../blob/replicable.ts'
import { durationOf, grouped } from '../view/quantities.ts'
import { flooredPercent, numberOf, type ShownSite, titleOf } from './status-text.ts'

const CELLS = 24

export function bar(part: number, total: number): string {
  const full = total === 0 ? CELLS : Math.floor((part / total) * CELLS)
  return `${'█'.repeat(full)}${'░'.repeat(CELLS - full)}`
}

/** A site in a few lines: a bar for each type and what is left of it. */
export function bars(shown: ShownSite, nowMs: number): string {
  const { site, status, replicables } = shown
  const age =
    status.updated_at === null
      ? 'no status yet'
      : `as of ${durationOf((nowMs - Date.parse(status.updated_at)) / 1000)} ago`
  const role = site.primary ? 'primary' : 'secondary'
  const head = `${site.name}  ${role}  ${status.health_status}  ${age}\n`
  return head + replicables.flatMap((replicable) => line(shown, replicable)).join('')
}

function line({ site, status }: ShownSite, { names }: Pick<Replicable, 'names'>): string[] {
  const count = (field: string) => numberOf(status[`${names.plural}_${field}`])
  const total = count(site.primary ? 'checksum_total_count' : 'registry_count')
  if (total === null) return []
  const done = count(site.primary ? 'checksummed_count' : 'verified_count') ?? 0
  const failed = count(site.primary ? 'checksum_failed_count' : 'failed_count')
  const progress = status.progress[names.plural]
  const remaining = progress?.remaining_seconds
  const rate = progress?.blobs_per_second.last_minute
  const rest = [
    ...(failed ? [`${grouped(failed)} failed`] : []),
    ...(rate ? [`${rate.toFixed(1)}/s`] : []),
    ...(remaining ? [`about ${durationOf(remaining)} left`] : []),
  ]
  const percent = `${flooredPercent(done, total)}%`.padStart(4)
  const figures = `${bar(done, total)} ${percent}  ${grouped(done)} of ${grouped(total)} ${site.primary ? 'checksummed' : 'verified'}`
  return [`  ${titleOf(names).padEnd(16)} ${[figures, ...rest].join('  ')}\n`]
}
