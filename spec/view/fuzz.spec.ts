import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Fuzz, fuzzInVain, openFuzz } from '../support/fuzz.ts'
import { METHODS } from '../support/fuzzed-request.ts'
import { PATHS } from '../support/fuzzed-words.ts'

const REQUESTS = 2000

let fuzz: Fuzz
beforeAll(async () => {
  fuzz = await openFuzz()
})
afterAll(() => fuzz?.close())

it(`${REQUESTS} requests of any kind get no answer 500 at any door, and show nothing of the inside`, async () => {
  const byStatus = await fuzzInVain(fuzz, (sent) => sent < REQUESTS)
  // They get somewhere, and not all of them.
  for (const status of ['200', '201', '400', '401', '404', '409']) expect(Object.keys(byStatus)).toContain(status)
})

/** Whatever a parameter is called, and without what is asked besides. */
const shapeOf = (path: string) => path.replaceAll(/:\w+/g, ':x').replace(/\?.*/, '')

it('There is no door but those that requests are sent to, and no address but one that is none', () => {
  const { routes } = fuzz
  const there = new Set(routes.map(({ path }) => shapeOf(path)))
  const sent = new Set(PATHS.map(shapeOf))
  expect([...there].filter((path) => !sent.has(path))).toEqual([])
  expect([...sent].filter((path) => !there.has(path))).toEqual(['admin/geo/nowhere'])
  const methods = new Set(routes.map(({ method }) => method.toUpperCase()).filter((method) => method !== '_ALL'))
  expect([...methods].filter((method) => !METHODS.some((known) => known === method))).toEqual([])
})
