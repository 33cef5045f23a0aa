import type { LoggerLike } from '../log.ts'

export interface KeptLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly fields: Readonly<Record<string, unknown>>
  readonly message: string
}

/** A logger that keeps its lines. */
export interface KeptLog extends LoggerLike {
  readonly lines: KeptLine[]
}

export function keptLog(): KeptLog {
  const lines: KeptLine[] = []
  const keep = (level: KeptLine['level']) => (fields: object, message: string) => {
    lines.push({ level, fields: fields as KeptLine['fields'], message })
  }
  return { lines, debug: keep('debug'), info: keep('info'), warn: keep('warn'), error: keep('error') }
}
