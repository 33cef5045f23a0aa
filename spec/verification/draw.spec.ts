import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { registryVerification } from '../../lib/registry/registry-verification.ts'
import { type Draw, drawRecords, parseSampleSize } from '../../lib/verification/draw.ts'
import { primaryVerification } from '../../lib/verification/primary-tracker.ts'
import type { VerificationTracker } from '../../lib/verification/tracker.ts'
import { VERIFICATION_STATE as V } from '../../lib/verification/verification-state.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { untyped } from '../support/fixture-rows.ts'

// More than a page of keys, with gaps between them; every third of them verified.
const ROWS = 12_000
const VERIFIED = ROWS / 3
const GROUPS = 20

const declared = declareReplicables('unused')
let databases: SpecDatabases
let sides: Record<'separate' | 'columns' | 'copies', () => [VerificationTracker, SpecDatabases['main'], typeof widgets]>
const widgets = untyped(declared.widgets)

beforeAll(async () => {
  databases = await createSpecDatabases()
  const { main, tracking } = databases
  const state = `case when n % 3 = 0 then ${V.succeeded} else ${V.pending} end`
  await main.raw(`insert into widgets (id, name, file_path) select n * n, 'w', 'f' from generate_series(1, ${ROWS}) n`)
  await main.raw(
    `insert into widget_states (widget_id, verification_state) select n * n, ${state} from generate_series(1, ${ROWS}) n`,
  )
  await main.raw(
    `insert into gadgets (name, file_path, verification_state) select 'g', 'f', ${state} from generate_series(1, ${ROWS}) n`,
  )
  await tracking.raw(
    `insert into widget_registry (widget_id, created_at, state, verification_state, removal_requested_at)
     select n * n, now(), case when n = 6 then 3 else 2 end, ${state}, case when n = 9 then now() end
     from generate_series(1, ${ROWS}) n`,
  )
  const onPrimary = primaryVerification(main, async () => undefined)
  sides = {
    separate: () => [onPrimary, main, widgets],
    columns: () => [onPrimary, main, untyped(declared.gadgets)],
    copies: () => [registryVerification(main), tracking, widgets],
  }
})
afterAll(() => databases.destroy())

async function draw(side: keyof typeof sides, sample: string | number, seed: number) {
  const [tracker, db, type] = sides[side]()
  const seen: Draw = { total: 0 }
  const ids: string[] = []
  const size = parseSampleSize(sample)
  for await (const page of drawRecords(size, seed, (request) => tracker.draw(db, type, request), seen))
    ids.push(...page)
  return { ids, total: seen.total }
}

describe.each([
  { side: 'separate', verified: VERIFIED },
  { side: 'columns', verified: VERIFIED },
  // One of them has failed, one is to be removed.
  { side: 'copies', verified: VERIFIED - 2 },
] as const)('A draw from the verified records, of $side,', ({ side, verified }) => {
  it('takes each of them for all, and none that is not verified', async () => {
    const { ids, total } = await draw(side, '100%', 1)
    expect(total).toBe(verified)
    expect(new Set(ids).size).toBe(verified)
    if (side !== 'columns') expect(ids.every((id) => Math.sqrt(Number(id)) % 3 === 0)).toBe(true)
  })

  it('takes as many as asked for, each once, the same for a seed and others for another', async () => {
    const [first, again, other] = [await draw(side, 100, 7), await draw(side, 100, 7), await draw(side, 100, 8)]
    expect(new Set(first.ids).size).toBe(100)
    expect(again).toEqual(first)
    expect(other.ids).not.toEqual(first.ids)
    expect((await draw(side, 100_000, 7)).ids).toHaveLength(verified)
  })

  it('takes about the share asked for', async () => {
    const { ids, total } = await draw(side, '10%', 3)
    expect(total).toBe(verified)
    // Five standard deviations of a binomial.
    expect(Math.abs(ids.length - verified / 10)).toBeLessThan(5 * Math.sqrt(verified * 0.1 * 0.9))
    expect(new Set(ids).size).toBe(ids.length)
  })
})

describe('A draw is uniform:', () => {
  it.each(['5%', 200])('of %s over many seeds, each part of the keys gets its share', async (sample) => {
    const counts = Array<number>(GROUPS).fill(0)
    let drawn = 0
    for (let seed = 0; seed < 20; seed += 1) {
      const { ids } = await draw('separate', sample, seed)
      drawn += ids.length
      for (const id of ids) {
        const group = Math.floor(((Math.sqrt(Number(id)) - 1) / ROWS) * GROUPS)
        counts[group] = (counts[group] ?? 0) + 1
      }
    }
    const expected = drawn / GROUPS
    const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
    // 19 degrees of freedom: a fair draw exceeds this once in a thousand times.
    expect(chiSquare).toBeLessThan(43.8)
  })
})

describe('The size of a sample', () => {
  it('is a share or a number', () => {
    expect(parseSampleSize('1%')).toEqual({ share: 0.01 })
    expect(parseSampleSize('0.5%')).toEqual({ share: 0.005 })
    expect(parseSampleSize('100%')).toEqual({ share: 1 })
    expect(parseSampleSize('250')).toEqual({ count: 250 })
    expect(parseSampleSize(250)).toEqual({ count: 250 })
  })

  it.each(['', '0', '0%', '101%', '-1', '1.5', '100001', 'all', '%'])('is not %j', (input) => {
    expect(() => parseSampleSize(input)).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }))
  })
})
