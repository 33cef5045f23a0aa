import { html, type SafeHtml } from '@remix-run/html-template'

export interface ChartParts {
  readonly title: string
  /** One value a minute, the oldest first; null where none is known. */
  readonly values: readonly (number | null)[]
  write(value: number): string
}

// A unit to the right is a minute, and one up no more than a pixel: figures that are as short as can be.
const HEIGHT = 48

/** One line over the last hour. What it shows is said in words too. */
export function chart({ title, values, write }: ChartParts): SafeHtml {
  const known = values.filter((value) => value !== null)
  const last = known.at(-1)
  if (last === undefined)
    return html`<figure class="chart"><figcaption><b>${title}</b> <span class="quiet">nothing known of the last hour</span></figcaption></figure>`
  const highest = Math.max(...known)
  const said = `now ${write(last)}, highest ${write(highest)}`
  const heightOf = (value: number) => HEIGHT - 1 - (highest === 0 ? 0 : (value / highest) * (HEIGHT - 4))
  return html`<figure class="chart"><figcaption><b>${title}</b> <span class="quiet">${said}</span></figcaption>
<svg viewBox="0 0 ${Math.max(values.length - 1, 1)} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${title} in the last hour: ${said}">
${segmentsOf(values).map((segment) => line(segment.map(({ at, value }) => [at, heightOf(value)] as const)))}
</svg></figure>`
}

interface Point {
  readonly at: number
  readonly value: number
}

/** Where nothing is known the line is broken. */
function segmentsOf(values: readonly (number | null)[]): Point[][] {
  const segments: Point[][] = []
  let open: Point[] | null = null
  for (const [at, value] of values.entries()) {
    if (value === null) open = null
    else if (open) open.push({ at, value })
    else {
      open = [{ at, value }]
      segments.push(open)
    }
  }
  return segments
}

/** The line and what is below it, by steps: a page has thousands of points, and steps are alike. */
function line(points: readonly (readonly [x: number, y: number])[]): SafeHtml {
  const heights = points.map(([, y]) => Math.round(y))
  const [first, firstHeight] = [points[0]?.[0] ?? 0, heights[0] ?? HEIGHT]
  // One alone is drawn as wide as a minute, or it could not be seen.
  const begin = points.length > 1 ? first : first - 1
  const steps = points.length > 1 ? heights.slice(1).map((y, at) => `1 ${y - (heights[at] ?? y)}`) : ['1 0']
  return html`<path class="line" d="M${begin} ${HEIGHT}V${firstHeight}l${steps.join(' ')}V${HEIGHT}"/>`
}
