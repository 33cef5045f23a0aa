import { showUnseen } from '../printable.ts'
import type { Screen } from './surroundings.ts'

const SHOW_EVERY_MS = 100
const DEFAULT_COLUMNS = 80

/** One line on the terminal that is written over again and again; nothing where standard error is no terminal. */
export interface ProgressLine {
  show(text: string): void
  /** To be called before anything else is written. */
  clear(): void
}

export function progressLine(stream: Screen): ProgressLine {
  let shownAtMs = Number.NEGATIVE_INFINITY
  let isShown = false
  return {
    show(text) {
      if (!stream.isTTY || performance.now() - shownAtMs < SHOW_EVERY_MS) return
      shownAtMs = performance.now()
      isShown = true
      stream.write(`\r\u001b[2K${showUnseen(text).slice(0, (stream.columns ?? DEFAULT_COLUMNS) - 1)}`)
    },
    clear() {
      if (isShown) stream.write('\r\u001b[2K')
      isShown = false
    },
  }
}
