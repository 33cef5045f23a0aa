import type { Knex } from 'knex'
import type { Clock } from './clock.ts'
import { loadCursor } from './event/cursor.ts'
import type { SiteDirectory } from './site.ts'
import type { StatusReport } from './transfer/status.ts'

/** A position that stands still is told again this often, so that the primary knows that the site lives. */
const AGAIN_AFTER_MS = 60_000

export interface PositionReportContext {
  readonly tracking: Knex
  readonly sites: SiteDirectory
  readonly clock: Clock
  send(report: StatusReport): Promise<void>
}

/** Tells the primary how far this site has read the event log: what every site has read, the primary may delete. */
export class PositionReport {
  readonly #context: PositionReportContext
  #sent: { readonly position: string; readonly atMs: number } | null = null

  constructor(context: PositionReportContext) {
    this.#context = context
  }

  /** Sends the position if it has moved, or if it is time. Only what is committed: a site never goes back behind its word. */
  async run(): Promise<void> {
    const { tracking, sites, clock, send } = this.#context
    if (!sites.me?.enabled || !sites.primary) return
    const cursor = await loadCursor(tracking, sites.siteName)
    if (!cursor) return
    const position = Object.values(cursor).join('/')
    const atMs = clock.monotonicMs()
    if (this.#sent?.position === position && atMs - this.#sent.atMs < AGAIN_AFTER_MS) return
    await send({
      cursor_xact_id: cursor.xactId,
      cursor_last_event_id: cursor.eventId,
      system_identifier: cursor.systemIdentifier,
      timeline: cursor.timeline,
    })
    this.#sent = { position, atMs }
  }
}
