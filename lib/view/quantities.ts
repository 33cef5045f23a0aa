/** A length of time as people say it: `12 seconds`, `3 minutes`, `about 2 hours`. */
const UNITS: readonly (readonly [seconds: number, name: string])[] = [
  [86_400, 'day'],
  [3600, 'hour'],
  [60, 'minute'],
]

export function durationOf(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  const unit = UNITS.find(([length]) => whole >= 2 * length)
  return unit ? many(Math.round(whole / unit[0]), unit[1]) : many(whole, 'second')
}

export function many(count: number, name: string): string {
  return `${grouped(count)} ${name}${count === 1 ? '' : 's'}`
}

/** `12,345` */
export function grouped(count: number): string {
  return count.toLocaleString('en')
}

/** How far a clock is from another: `0.009 seconds behind`; above zero it is ahead. */
export function apartOf(seconds: number): string {
  return `${Math.abs(seconds).toFixed(3)} seconds ${seconds < 0 ? 'behind' : 'ahead'}`
}

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** `3.4 MiB` */
export function bytesOf(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < BYTE_UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${BYTE_UNITS[unit]}`
}
