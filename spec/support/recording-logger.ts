import { type KeptLog, keptLog, type KeptLine as LogLine } from '../../lib/testing/kept-log.ts'

export type { KeptLine as LogLine } from '../../lib/testing/kept-log.ts'

/** A logger that keeps its lines, and answers for them. */
export interface RecordingLogger extends KeptLog {
  /** The lines that carry a code: all but those that tell of states. */
  coded(): LogLine[]
  /** The codes of the lines that say that something is wrong, in their order. */
  codes(): unknown[]
  clear(): void
}

export function recordingLogger(): RecordingLogger {
  const log = keptLog()
  const { lines } = log
  const coded = () => lines.filter(({ fields }) => fields['code'] !== undefined)
  return {
    ...log,
    coded,
    codes: () =>
      coded()
        .filter(({ level }) => level === 'warn' || level === 'error')
        .map(({ fields }) => fields['code']),
    clear: () => void lines.splice(0),
  }
}
