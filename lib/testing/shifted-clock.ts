import { type Clock, systemClock } from '../clock.ts'

/** The system's clock, except that a spec can set the wall clock to another time and let time pass. */
export interface ShiftedClock extends Clock {
  /** As if someone set the clock on the wall, forward or back. */
  shiftWall(byMs: number): void
  /** As if so much more time had gone by. */
  advance(byMs: number): void
}

export function shiftedClock(): ShiftedClock {
  let wallMs = 0
  let passedMs = 0
  return {
    ...systemClock,
    nowMs: () => systemClock.nowMs() + wallMs + passedMs,
    monotonicMs: () => systemClock.monotonicMs() + passedMs,
    shiftWall: (byMs) => {
      wallMs += byMs
    },
    advance: (byMs) => {
      passedMs += byMs
    },
  }
}
