import { z } from 'zod'
import { GeoError } from '../errors.ts'
import { type DrawnPage, type DrawnRecord, type DrawRequest, TICKETS } from './draw-page.ts'

/** How much is drawn: a share of the verified records, or a number of them. */
export type SampleSize = { readonly share: number } | { readonly count: number }

const MOST_DRAWN = 100_000
const KEYS_PER_PAGE = 10_000

const percent = z
  .string()
  .regex(/^[0-9]+(\.[0-9]+)?%$/)
  .transform((text) => Number(text.slice(0, -1)) / 100)
const count = z.coerce.number().int().min(1).max(MOST_DRAWN)

/**
 * `1%`, `0.5%`, or a number from 1 to 100,000.
 * @throws GeoError `INVALID_REQUEST`
 */
export function parseSampleSize(input: string | number): SampleSize {
  const share = percent.safeParse(input)
  if (share.success && share.data > 0 && share.data <= 1) return { share: share.data }
  const number = count.safeParse(input)
  if (number.success && input !== '') return { count: number.data }
  throw new GeoError(
    'INVALID_REQUEST',
    `A sample is a share like 1%, up to 100%, or a number from 1 to ${MOST_DRAWN}, not ${JSON.stringify(input)}`,
  )
}

export interface Draw {
  /** How many verified records there were, of all pages that have been seen. */
  total: number
}

/**
 * Draws verified records uniformly at random, a page of keys to a statement: each record's ticket is a hash of its key and the
 * seed. A share takes the tickets below it as the pages come; a number takes the lowest of all, once all pages are seen.
 */
export async function* drawRecords(
  size: SampleSize,
  seed: number,
  drawPage: (request: DrawRequest) => Promise<DrawnPage>,
  draw: Draw,
): AsyncGenerator<readonly string[]> {
  let lowest: DrawnRecord[] = []
  let after: string | null = null
  do {
    const most = 'count' in size ? size.count : KEYS_PER_PAGE
    const below = 'share' in size ? Math.floor(size.share * TICKETS) : (lowest[most - 1]?.ticket ?? TICKETS)
    const page: DrawnPage = await drawPage({ after, keys: KEYS_PER_PAGE, seed, below, most })
    draw.total += page.verified
    if ('share' in size) yield page.drawn.map((record) => record.id)
    else lowest = [...lowest, ...page.drawn].sort((left, right) => left.ticket - right.ticket).slice(0, most)
    after = page.next
  } while (after !== null)
  yield lowest.map((record) => record.id)
}
