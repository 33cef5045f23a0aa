import { html, type SafeHtml } from '@remix-run/html-template'
import type { SampledMinute } from '../../../status-sample-table.ts'
import type { Format } from '../format.ts'
import { chart } from '../parts/chart.ts'

export const CHARTED_MINUTES = 60
const MINUTE_MS = 60_000

type Charted = Pick<SampledMinute, 'at' | 'backlog' | 'blobsPerSecond' | 'lagSeconds'>

export interface ChartedSite {
  readonly name: string
  readonly primary: boolean
  readonly minutes: readonly Charted[]
}

/** Rate, backlog and lag of the last hour. */
export function siteCharts({ name, primary, minutes }: ChartedSite, nowMs: number, format: Format): SafeHtml {
  const series = (of: (minute: Charted) => number | null) => perMinute(minutes, nowMs, of)
  return html`<section class="charts" aria-label="The last hour of ${name}">
${chart({ title: primary ? 'Checksums' : 'Rate', values: series(({ blobsPerSecond }) => blobsPerSecond), write: (value) => `${format.decimal(value)}/s` })}
${chart({ title: 'Backlog', values: series(({ backlog }) => backlog), write: (value) => format.count(value) })}
${primary ? '' : chart({ title: 'Lag of the oldest file', values: series(({ lagSeconds }) => lagSeconds ?? 0), write: (value) => format.duration(value) })}
</section>`
}

function perMinute(
  minutes: readonly Charted[],
  nowMs: number,
  of: (minute: Charted) => number | null,
): (number | null)[] {
  const values: (number | null)[] = Array.from({ length: CHARTED_MINUTES }, () => null)
  const now = Math.floor(nowMs / MINUTE_MS)
  for (const minute of minutes) {
    const at = CHARTED_MINUTES - 1 - (now - Math.floor(Date.parse(minute.at) / MINUTE_MS))
    if (at >= 0 && at < CHARTED_MINUTES) values[at] = of(minute)
  }
  return values
}
