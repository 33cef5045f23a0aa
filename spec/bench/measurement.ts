import type { Folders } from './folders.ts'

/** What a measurement is given to work with. */
export interface Bench {
  /** How often each side does its work. */
  readonly rounds: number
  /** 1 is what the figures of docs/performance.md are of; less makes the work smaller, for trying. */
  readonly scale: number
  readonly folders: Folders
  /** Tells who watches what is being done. */
  say(text: string): void
}

export interface Outcome {
  /** Above 1: ours is faster or cheaper. Null where there is nobody to compare with. */
  readonly ratio: number | null
  /** What was asked for, in words. */
  readonly reach: string
  /** What was measured, in words, for the table of docs/performance.md. */
  readonly measured: string
  readonly reached: boolean
  /** What was measured, with the unit in each name. */
  readonly figures: Readonly<Record<string, Figure>>
}

export type Figure = number | string | readonly number[] | readonly string[] | { readonly [name: string]: Figure }

export interface Measurement {
  /** What is done, and against whom. */
  readonly title: string
  measure(bench: Bench): Promise<Outcome>
}

/** As many as the scale says, at least one. */
export function scaled({ scale }: Bench, count: number): number {
  return Math.max(1, Math.round(count * scale))
}
