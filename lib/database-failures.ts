/** What the failure of a database says: of the database, of what it was asked, or of the rows that it was asked about. */

/** Failures to get a session at all: what a host's ways of connecting say then has no form of its own. */
const withoutSession = new WeakSet<Error>()

/** For whoever hands out sessions. */
export function noteWithoutSession(reason: unknown): void {
  if (reason instanceof Error) withoutSession.add(reason)
}

/** Whether a database, or the way to it, failed: no fault of the work that was under way. */
export function isDatabaseFailure(reason: unknown): boolean {
  if (!(reason instanceof Error)) return false
  const { name, code, severity } = reason as Error & { code?: unknown; severity?: unknown }
  // PostgreSQL gives each of its errors a severity; pg and Knex say in words that a connection was not to be had.
  return (
    isWithoutSession(reason) ||
    severity !== undefined ||
    name === 'KnexTimeoutError' ||
    code === 'STOPPED' ||
    /^(ECONN|ENETUNREACH|EHOSTUNREACH|EPIPE|ENOTFOUND|EAI_|ETIMEDOUT)/.test(String(code)) ||
    // Behind the statement, where Knex names it: `ROLLBACK - Connection terminated unexpectedly`.
    /(^| - )(Connection terminated|Client (has encountered a connection error|was closed)|Query read timeout|Unable to acquire a connection)/.test(
      reason.message,
    )
  )
}

// Connection lost, transaction rolled back for others, too little of something, something in use, an operator, the system beneath.
const NOT_THE_STATEMENT = /^(08|25|40|53|55|57|58)/

/** Whether a database failed for what it was asked for at this moment, and not for what it was asked: the same may go well soon. */
export function passesByItself(reason: unknown): boolean {
  if (!isDatabaseFailure(reason)) return false
  const { code, severity } = reason as { code?: unknown; severity?: unknown }
  return isWithoutSession(reason) || severity === undefined || NOT_THE_STATEMENT.test(String(code))
}

// Connection lost, server stopped or starting.
const AWAY = /^(08|57P)/

/** Whether a database, or the way to it, is away: others cannot reach it either. */
export function isAway(reason: unknown): boolean {
  if (isWithoutSession(reason)) return true
  if (!isDatabaseFailure(reason)) return false
  const { name, code, severity, message } = reason as Error & { code?: unknown; severity?: unknown }
  if (severity !== undefined) return AWAY.test(String(code))
  // What was too slow for a limit of ours or the host's was not answered yet.
  return name !== 'KnexTimeoutError' && !message.includes('Query read timeout')
}

/** Whether something asked for is not there, such as a column, or not allowed: it is so for all rows, until a person changes it. */
export function isOfSchema(reason: unknown): boolean {
  const { code, severity } = (reason ?? {}) as { code?: unknown; severity?: unknown }
  return severity !== undefined && /^42/.test(String(code)) && !isWithoutSession(reason)
}

/** Also where a server says why it lets nobody in, such as for a password: that is no fault of what was to be asked. */
function isWithoutSession(reason: unknown): boolean {
  return reason instanceof Error && withoutSession.has(reason)
}
