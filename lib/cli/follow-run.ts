import type { BulkRun } from '../bulk/bulk-run.ts'
import type { BulkRequest } from '../bulk/request.ts'
import { heartbeatOf } from '../databases.ts'
import { whileRenewing } from '../renewal.ts'
import { durationOf, grouped } from '../view/quantities.ts'
import type { CommandLine, OpenSite } from './command-line.ts'

const LOOK_EVERY_MS = 250

/**
 * Starts bulk runs and follows them to their ends, one after another. Pages that no process of the site does are done here. A
 * Ctrl-C cancels the run that is being followed and begins no other.
 */
export function runToEnd(cli: CommandLine, site: OpenSite, requests: readonly BulkRequest[]): Promise<BulkRun[]> {
  const { databases, leases, settings, sites } = site.assembly
  return cli.untilInterrupted((signal) =>
    whileRenewing(leases, heartbeatOf(databases, sites.role), settings, async () => {
      const ended: BulkRun[] = []
      for (const request of requests) {
        if (signal.aborted) break
        ended.push(await follow(cli, site, await site.geo.bulk.start(request), signal))
      }
      return ended
    }),
  )
}

function follow(cli: CommandLine, { assembly, geo }: OpenSite, started: BulkRun, signal: AbortSignal) {
  const { clock } = assembly.settings
  const pages = assembly.jobs.find(({ name }) => name === 'bulk')
  const beganAtMs = clock.monotonicMs()
  return cli.withProgress(async (progress) => {
    for (let run = started; ; run = await geo.bulk.get(run.id)) {
      if (run.state === 'finished' || run.state === 'cancelled') return run
      if (signal.aborted) return geo.bulk.cancel(run.id)
      const { doneFraction: done, examined, changed } = run
      const elapsedS = (clock.monotonicMs() - beganAtMs) / 1000
      const left = done > 0 ? `, about ${durationOf((elapsedS * (1 - done)) / done)} left` : ''
      progress.show(
        `${titleOf(run)}: ${Math.floor(done * 100)}%, ${grouped(examined)} looked at, ${grouped(changed)} changed${left}`,
      )
      if (!(await pages?.run(signal))) await clock.sleep(LOOK_EVERY_MS, signal)
    }
  })
}

export function titleOf({ id, action, type, dryRun }: BulkRun): string {
  return `Run ${id}, ${action} of ${type}${dryRun ? ' (dry run)' : ''}`
}

/** How a run stands, in a sentence. */
export function sentenceOf(run: BulkRun): string {
  const { state, examined, changed, dryRun, doneFraction, failure } = run
  const rows = `${grouped(changed)} of ${grouped(examined)} rows ${dryRun ? 'would be ' : ''}changed`
  const percent = state === 'running' ? ` (${Math.floor(doneFraction * 100)}%)` : ''
  return `${titleOf(run)}: ${state}${percent}, ${rows}${failure ? `; last failure: ${failure.message}` : ''}\n`
}
