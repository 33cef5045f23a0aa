import assert from 'node:assert/strict'
import { VERIFICATION_STATE as V } from '../verification/verification-state.ts'
import { statusShape } from '../view/status/fields.ts'
import { statusOf } from '../view/status/read.ts'
import type { BenchSite } from './bench.ts'
import type { TestRunner } from './runner.ts'
import { assertColumns, type Subject } from './subject.ts'

/*
 * GB.M.12. Left out, or another way here:
 *
 * | assertion | why |
 * |---|---|
 * | replication off but checksumming on: counts; both off: null | there is no flag for checksumming alone: off is both, and asserted on both sites |
 * | verification off of a type that replicates: null | the same: a type is verified wherever it is replicated |
 * | verified percentage is of the registry | it is of what can be verified (quirk 2 mended): asserted with a copy that cannot |
 * | 33.33 ± 0.01 | the field is a text of two decimals: asserted as it is shown |
 */

/** The suite 'the status of a Geo site', of the twelve fields of the type. */
export function aSiteStatus({ describe, it, beforeEach }: TestRunner, { replicable, bench }: Subject): void {
  const { plural } = replicable.names

  /** What the site has stored of the type once it has counted, by the names without the plural. */
  async function gathered({ parts }: BenchSite): Promise<Record<string, unknown>> {
    await bench().caughtUp()
    await parts.viewing.gathering.gather()
    await bench().caughtUp()
    const status = await statusOf(parts)
    // No field is missing, and none is there that the published schema does not have.
    statusShape([replicable]).parse(status)
    const own = Object.entries(status).filter(([name]) => name.startsWith(`${plural}_`))
    assert.equal(own.length, 12)
    return Object.fromEntries(own.map(([name, value]) => [name.slice(plural.length + 1), value]))
  }

  const OF_THE_PRIMARY = ['count', 'checksum_total_count', 'checksummed_count', 'checksum_failed_count']
  const OF_A_SECONDARY = [
    ...['count', 'synced_count', 'failed_count', 'registry_count'],
    ...['verification_total_count', 'verified_count', 'verification_failed_count'],
  ]
  const NO_SHARES = { synced_in_percentage: '0.00%', verified_in_percentage: '0.00%' }
  const all = (names: readonly string[], value: number | null) => Object.fromEntries(names.map((name) => [name, value]))

  describe('the status of a Geo site', () => {
    beforeEach(() => bench().reset())

    it(`${plural}_count of the primary: the records that have a file`, async () => {
      const { make, primary } = bench()
      for (const withFile of [true, true, false]) await make.row({ withFile })
      assertColumns(await gathered(primary), { count: 2, checksum_total_count: 2 })
    })

    it(`${plural}_checksummed_count 2 and ${plural}_checksum_failed_count 1 of the primary`, async () => {
      const { make, primary } = bench()
      for (const verification of ['succeeded', 'succeeded', 'failed'] as const) await make.row({ verification })
      const counts = { checksum_total_count: 3, checksummed_count: 2, checksum_failed_count: 1 }
      assertColumns(await gathered(primary), counts)
    })

    it(`${plural}_registry_count 3, synced 1 and failed 2 of a secondary: 33.33%`, async () => {
      const { make, secondary } = bench()
      for (const sync of ['synced', 'failed', 'failed'] as const) await make.registry({ sync })
      const counts = { count: 3, registry_count: 3, synced_count: 1, failed_count: 2 }
      assertColumns(await gathered(secondary), { ...counts, synced_in_percentage: '33.33%' })
    })

    it(`${plural}_verified_count 2 and ${plural}_verification_failed_count 1 of a secondary: 66.67%`, async () => {
      const { make, secondary } = bench()
      for (const verification of ['succeeded', 'succeeded', 'failed'] as const)
        await make.registry({ sync: 'synced', verification })
      // The primary has no checksum of this one yet.
      await make.registry({ sync: 'synced', columns: { verification_state: V.disabled } })
      const counts = { registry_count: 4, verification_total_count: 3, verified_count: 2, verification_failed_count: 1 }
      assertColumns(await gathered(secondary), { ...counts, verified_in_percentage: '66.67%' })
    })

    for (const [where, own, others] of [
      ['primary', OF_THE_PRIMARY, OF_A_SECONDARY.filter((name) => name !== 'count')],
      ['secondary', OF_A_SECONDARY, OF_THE_PRIMARY.filter((name) => name !== 'count')],
    ] as const) {
      it(`of the ${where} without rows: 0, and null what belongs to the other role`, async () => {
        const expected = { ...all(own, 0), ...all(others, null), ...NO_SHARES }
        assert.deepEqual(await gathered(bench()[where]), expected)
      })

      it(`of the ${where} with the flag off: null, and every field is there`, async () => {
        const { make, switchFlag } = bench()
        await make.registry({
          sync: 'synced',
          verification: 'succeeded',
          of: await make.row({ verification: 'succeeded' }),
        })
        switchFlag(false)
        const expected = { ...all([...own, ...others], null), ...NO_SHARES }
        assert.deepEqual(await gathered(bench()[where]), expected)
      })
    }
  })
}
