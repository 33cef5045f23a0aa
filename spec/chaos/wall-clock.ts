import { readFileSync } from 'node:fs'

/**
 * Loaded before the program of a member, in each of its threads: the wall clock of this process is off by what a file says. Time
 * itself goes on as it does, as where somebody sets the clock of a machine.
 */
const LOOK_EVERY_MS = 100
const path = process.env['GEO_CHAOS_CLOCK_FILE']

if (path) {
  const RealDate = globalThis.Date
  let shiftMs = readShift(path, 0)
  setInterval(() => {
    shiftMs = readShift(path, shiftMs)
  }, LOOK_EVERY_MS).unref()
  const now = () => RealDate.now() + shiftMs
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
    apply: () => new RealDate(now()).toString(),
    get: (target, name, receiver) => (name === 'now' ? now : Reflect.get(target, name, receiver)),
  })
}

function readShift(path: string, before: number): number {
  try {
    return Number(readFileSync(path, 'utf8'))
  } catch (reason) {
    // Nobody has set this clock yet.
    if ((reason as NodeJS.ErrnoException).code === 'ENOENT') return before
    throw reason
  }
}
