import type { Surroundings } from './surroundings.ts'

type Stroke = (text: string) => string

/** Colours, on a terminal whose owner does not refuse them (https://no-color.org). */
export interface Paint {
  readonly heading: Stroke
  readonly good: Stroke
  readonly bad: Stroke
  readonly aside: Stroke
}

const YELLOW = 33
const GREEN = 32
const RED = 31
const DIM = 2

const ESCAPE = '\u001b'

/** Splits a text into what is painted and, at every second place, what paints. */
export const STROKES = new RegExp(`(${ESCAPE}\\[(?:0|${[YELLOW, GREEN, RED, DIM].join('|')})m)`)

export function paintFor({ stdout, environment }: Pick<Surroundings, 'stdout' | 'environment'>): Paint {
  const isColoured = stdout.isTTY === true && !environment['NO_COLOR']
  const stroke =
    (code: number): Stroke =>
    (text) =>
      isColoured ? `${ESCAPE}[${code}m${text}${ESCAPE}[0m` : text
  return Object.freeze({ heading: stroke(YELLOW), good: stroke(GREEN), bad: stroke(RED), aside: stroke(DIM) })
}
