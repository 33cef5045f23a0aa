import type { Knex } from 'knex'
import { type AskedChange, type AuditEntry, insertAsked, listEntries, noteOutcome } from './audit-table.ts'
import { isDatabaseFailure } from './database-failures.ts'
import { answering } from './databases.ts'
import { GeoError, messageOf } from './errors.ts'
import type { LoggerLike } from './log.ts'
import type { SiteDirectory } from './site.ts'

export type { AskedChange, AuditAction, AuditEntry } from './audit-table.ts'

const MOST_AT_ONCE = 1000

export interface AuditContext {
  readonly sites: Pick<SiteDirectory, 'ensureFresh'>
  readonly logger: LoggerLike
  /** The database that this site writes, by its role now. */
  writable(): Knex
}

/** Who asked for which change, when and from where, and how it ended; in the database and as a line of the log. */
export class Audit {
  readonly #context: AuditContext

  constructor(context: AuditContext) {
    this.#context = context
  }

  /**
   * Notes that it is asked, does it, notes how it ended. An entry that cannot be written is a change that is not made.
   * @throws GeoError `DATABASE_UNAVAILABLE`, and what `work` throws
   */
  async during<Result>(asked: AskedChange, work: () => Promise<Result>): Promise<Result> {
    const { sites, writable } = this.#context
    const told = storable(asked)
    const { db, id } = await answering(async () => {
      await sites.ensureFresh()
      const db = writable()
      return { db, id: await insertAsked(db, told) }
    })
    try {
      const result = await work()
      await this.#ended(db, id, told, 'done')
      return result
    } catch (reason) {
      await this.#ended(db, id, told, outcomeOf(reason))
      throw reason
    }
  }

  /**
   * The newest first; `before` is the id of the last one of the page before. At most 1,000.
   * @throws GeoError `INVALID_REQUEST` where it is no id
   */
  async list({ before = null, limit }: { before?: string | null; limit: number }): Promise<AuditEntry[]> {
    if (before !== null && !/^\d{1,18}$/.test(before)) {
      throw new GeoError('INVALID_REQUEST', `before: ${JSON.stringify(before)} is no id`)
    }
    await this.#context.sites.ensureFresh()
    return listEntries(this.#context.writable(), before, Math.min(Math.max(Math.trunc(limit), 1), MOST_AT_ONCE))
  }

  // What is done is done: that it could not be noted is for the log.
  async #ended(db: Knex, id: string, { details: _, ...asked }: AskedChange, outcome: string): Promise<void> {
    const { logger } = this.#context
    logger.info({ audit: id, ...asked, outcome }, 'A change that somebody asked for')
    try {
      await noteOutcome(db, id, outcome)
    } catch (reason) {
      logger.warn({ audit: id, outcome, error: messageOf(reason) }, 'How a change ended could not be noted')
    }
  }
}

function outcomeOf(reason: unknown): string {
  if (reason instanceof GeoError) return reason.code
  return isDatabaseFailure(reason) ? 'DATABASE_UNAVAILABLE' : 'INTERNAL'
}

function storable({ operator, ip, site, subject, details, ...asked }: AskedChange): AskedChange {
  const word = (value: string) => clean(value).slice(0, 255)
  const text = (value: string | null) => (value === null ? null : word(value))
  const cleaned = JSON.stringify(details, (_, value: unknown) => (typeof value === 'string' ? clean(value) : value))
  return {
    ...asked,
    operator: text(operator),
    ip: text(ip),
    site: word(site),
    subject: text(subject),
    details: JSON.parse(cleaned) as AskedChange['details'],
  }
}

/** Without what PostgreSQL holds in no text: whoever sends it is to be seen in the log all the same. */
function clean(text: string): string {
  return text.replaceAll('\0', '').toWellFormed()
}
