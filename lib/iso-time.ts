/** SQL for a moment as text in ISO 8601, in UTC to the millisecond: as `Date.prototype.toISOString` has it. */
export const isoTime = (moment: string): string =>
  `to_char(${moment} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

/** The same to the second. */
export const isoSeconds = (moment: string): string =>
  `to_char(${moment} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`
