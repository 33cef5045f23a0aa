import type { Knex } from 'knex'
import type { Clock } from './clock.ts'
import { messageOf } from './errors.ts'
import { loadCursor } from './event/cursor.ts'
import type { SiteDirectory } from './site.ts'
import { loadOwnStatus, noteReported, noteReportFailed } from './site-status-table.ts'
import type { Reported } from './transfer/report.ts'
import type { StatusReport } from './transfer/status.ts'
import { NotTaken } from './transfer/tell-primary.ts'

/** What stands still is told again this often, so that the primary knows that the site lives: it calls it offline after 90 s. */
const AGAIN_AFTER_MS = 30_000

export interface SiteReportContext {
  readonly tracking: Knex
  readonly sites: SiteDirectory
  readonly clock: Clock
  send(report: StatusReport): Promise<Reported>
}

/**
 * Tells the primary how far this site has read the event log (what every site has read, the primary may delete) and what it has
 * gathered of itself. From each report this site learns how far its clock is from the primary's.
 */
export class SiteReport {
  readonly #context: SiteReportContext
  #sent: { readonly position: string; readonly gatheredAt: string | null; readonly atMs: number } | null = null

  constructor(context: SiteReportContext) {
    this.#context = context
  }

  /** Sends what is new, or something if it is time. Only what is committed: a site never goes back behind its word. */
  async run(): Promise<void> {
    const { tracking, sites, clock } = this.#context
    if (!sites.me?.enabled || !sites.primary) return
    const cursor = await loadCursor(tracking, sites.siteName)
    if (!cursor) return
    const own = await loadOwnStatus(tracking)
    const position = Object.values(cursor).join('/')
    const gatheredAt = own?.gatheredAt ?? null
    const atMs = clock.monotonicMs()
    const gatheredAnew = this.#sent?.gatheredAt !== gatheredAt
    const due = this.#sent === null || atMs - this.#sent.atMs >= AGAIN_AFTER_MS
    if (this.#sent?.position === position && !gatheredAnew && !due) return
    await this.#send({
      cursor_xact_id: cursor.xactId,
      cursor_last_event_id: cursor.eventId,
      system_identifier: cursor.systemIdentifier,
      timeline: cursor.timeline,
      ...(own && gatheredAnew && { status: own.status }),
    })
    this.#sent = { position, gatheredAt, atMs }
  }

  async #send(report: StatusReport): Promise<void> {
    const { tracking, send } = this.#context
    const { clockSkewMs } = await send(report).catch(async (reason: unknown) => {
      // A clock that is wrong by more than a signature may be old is told by the refusal alone.
      await noteReportFailed(tracking, messageOf(reason), reason instanceof NotTaken ? reason.clockSkewMs : null)
      throw reason
    })
    await noteReported(tracking, clockSkewMs)
  }
}
