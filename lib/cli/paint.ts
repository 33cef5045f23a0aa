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

export function paintFor({ stdout, environment }: Pick<Surroundings, 'stdout' | 'environment'>): Paint {
  const isColoured = stdout.isTTY === true && !environment['NO_COLOR']
  const stroke =
    (code: number): Stroke =>
    (text) =>
      isColoured ? `\u001b[${code}m${text}\u001b[0m` : text
  return Object.freeze({ heading: stroke(YELLOW), good: stroke(GREEN), bad: stroke(RED), aside: stroke(DIM) })
}
