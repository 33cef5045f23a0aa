import type { Assembly } from '../assembly.ts'
import type { Replicable } from '../blob/replicable.ts'
import type { BulkAction, BulkFilter } from '../bulk/request.ts'
import { GeoError } from '../errors.ts'
import { durationOf, grouped } from '../view/quantities.ts'
import { chosenBy, requireOneTypeFor } from './chosen.ts'
import type { CommandLine, GlobalOptions, OpenSite } from './command-line.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import { runToEnd } from './follow-run.ts'
import { kindOf, leftByStatus } from './left-by-status.ts'
import { withOnly, workDue } from './work-due.ts'

export interface DueOptions extends GlobalOptions {
  readonly all?: true
  readonly id?: string[]
  readonly failed?: true
  readonly json?: true
}

interface Done {
  done: number
  failed: number
  readonly codes: Map<string, number>
}

/** The jobs that find files which no process has seen yet. */
const FINDING_FILES: readonly string[] = Object.freeze(['backfill-states', 'wake-named'])
const WORDS = Object.freeze({ sync: 'fetched', verify: 'verified' })

/** Fetches or hashes in this process what is due, or what is named, and says how it went. */
export function workNow(
  cli: CommandLine,
  what: 'sync' | 'verify',
  names: readonly string[],
  options: DueOptions,
): Promise<ExitCode> {
  return cli.withSite(
    options,
    async (site) => {
      const { assembly } = site
      await assembly.sites.refresh()
      const replicables = chosenBy(assembly, names, options.all ?? false)
      requireOneTypeFor(options.id, replicables)
      await requireWorkable(assembly, what, replicables)
      if (options.id || options.failed) await makeDue(cli, site, what, replicables, options)
      const left = await leftByStatus(assembly, what, replicables)
      const { isWhole, ...counted } = await work(cli, assembly, what, left)
      const { done, failed, codes } = counted
      if (options.json) cli.printJson({ [WORDS[what]]: done, failed, failures: Object.fromEntries(codes) })
      else {
        const reasons = [...codes].map(([code, count]) => `  ${grouped(count)} ${code}\n`).join('')
        cli.print(`${grouped(done)} ${WORDS[what]}, ${grouped(failed)} failed\n${reasons}`)
      }
      if (!isWhole) cli.note('interrupted; what was begun is given back')
      return isWhole && failed === 0 ? EXIT.ok : EXIT.no
    },
    (settings) => withOnly(settings, options.all ? null : names),
  )
}

/** What would keep the work from being done at all. */
async function requireWorkable(assembly: Assembly, what: 'sync' | 'verify', replicables: readonly Replicable[]) {
  const { sites, stores, databases } = assembly
  const me = sites.requireMe()
  if (what === 'sync' && me.primary) throw new GeoError('NOT_SECONDARY', 'The primary has no copies to fetch')
  if (what === 'sync' && !me.enabled) throw new GeoError('SITE_DISABLED', 'This site is paused')
  const db = me.primary ? databases.main : databases.tracking
  for (const replicable of replicables) {
    const problem = db && (await stores.problem(replicable, db, sites.siteName))
    if (problem) throw problem
  }
}

/** Failed ones do not wait for their next attempt. */
async function makeDue(
  cli: CommandLine,
  site: OpenSite,
  what: 'sync' | 'verify',
  replicables: readonly Replicable[],
  { id }: DueOptions,
): Promise<void> {
  const action: BulkAction = what === 'sync' ? 'resync' : 'reverify'
  const failed: BulkFilter = what === 'sync' ? { syncState: 'failed' } : { verificationState: 'failed' }
  const filter = { ...failed, ...(id && { ids: id }) }
  const requestedBy = `geo ${what}`
  await runToEnd(
    cli,
    site,
    replicables.map((type) => ({ action, type, filter, requestedBy })),
  )
}

function work(
  cli: CommandLine,
  assembly: Assembly,
  what: 'sync' | 'verify',
  left: number | null,
): Promise<Done & { isWhole: boolean }> {
  const { clock } = assembly.settings
  const counted: Done = { done: 0, failed: 0, codes: new Map() }
  const beganAtMs = clock.monotonicMs()
  return cli.untilInterrupted((signal) =>
    cli.withProgress(async (progress) => {
      const show = () => {
        const seconds = (clock.monotonicMs() - beganAtMs) / 1000
        const rate = seconds > 0 ? counted.done / seconds : 0
        const rest = left === null ? 0 : left - counted.done
        const remaining = rate > 0 && rest > 0 ? `, about ${durationOf(rest / rate)} left` : ''
        progress.show(
          `${grouped(counted.done)} ${WORDS[what]}, ${grouped(counted.failed)} failed, ${rate.toFixed(1)} a second${remaining}`,
        )
      }
      const succeeded = () => {
        counted.done += 1
        show()
      }
      const listening = [
        assembly.signals.on(what === 'sync' ? 'blob:synced' : 'blob:verified', succeeded),
        assembly.signals.on('blob:failed', ({ code }) => {
          counted.failed += 1
          counted.codes.set(code, (counted.codes.get(code) ?? 0) + 1)
          show()
        }),
      ]
      try {
        const kind = kindOf(assembly, what)
        if (kind === 'hash') {
          // Files that no process has seen yet get their state first.
          for (const job of assembly.jobs.filter(({ name }) => FINDING_FILES.includes(name))) {
            while (!signal.aborted && (await job.run(signal)));
          }
        }
        await workDue(assembly, kind, signal)
      } finally {
        for (const stop of listening) stop()
      }
      const refusal = what === 'sync' ? assembly.sources.sync.refusal : null
      if (refusal) throw new GeoError(refusal.code, refusal.message)
      return { ...counted, isWhole: !signal.aborted }
    }),
  )
}
