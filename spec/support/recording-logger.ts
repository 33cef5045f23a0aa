import type { LoggerLike } from '../../lib/log.ts'

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly fields: Readonly<Record<string, unknown>>
  readonly message: string
}

/** A logger that keeps its lines. */
export interface RecordingLogger extends LoggerLike {
  readonly lines: LogLine[]
  /** The lines that carry a code: all but those that tell of states. */
  coded(): LogLine[]
  /** The codes of the lines that say that something is wrong, in their order. */
  codes(): unknown[]
  clear(): void
}

export function recordingLogger(): RecordingLogger {
  const lines: LogLine[] = []
  const keep = (level: LogLine['level']) => (fields: object, message: string) => {
    lines.push({ level, fields: fields as LogLine['fields'], message })
  }
  const coded = () => lines.filter(({ fields }) => fields['code'] !== undefined)
  return {
    lines,
    coded,
    codes: () =>
      coded()
        .filter(({ level }) => level === 'warn' || level === 'error')
        .map(({ fields }) => fields['code']),
    clear: () => void lines.splice(0),
    debug: keep('debug'),
    info: keep('info'),
    warn: keep('warn'),
    error: keep('error'),
  }
}
