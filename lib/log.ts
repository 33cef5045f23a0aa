import { printableJson } from './printable.ts'

/** Where the SDK writes its log lines: pino, winston and console fit. `fields` holds the error code, the type and the ids. */
export interface LoggerLike {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

function line(level: string, fields: object, message: string): void {
  process.stderr.write(`${printableJson({ time: new Date().toISOString(), level, geo: message, ...fields })}\n`)
}

/** The default: warnings and errors as one JSON line each on standard error. */
export const stderrLogger: LoggerLike = Object.freeze({
  debug: () => undefined,
  info: () => undefined,
  warn: (fields: object, message: string) => line('warn', fields, message),
  error: (fields: object, message: string) => line('error', fields, message),
})
