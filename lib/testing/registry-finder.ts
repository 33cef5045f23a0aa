import assert from 'node:assert/strict'
import { GeoError } from '../errors.ts'
import { VERIFICATION_STATE as V } from '../verification/verification-state.ts'
import { findRegistries, type RegistryFilters, type RegistrySort } from '../view/registries/finder.ts'
import { type FourRegistries, fourRegistries, registryIdOf } from './four-registries.ts'
import type { TestRunner } from './runner.ts'
import type { Subject } from './subject.ts'

/*
 * GB.M.8. Left out, or another way here:
 *
 * | assertion | why |
 * |---|---|
 * | admin without admin mode: empty | whether an administrator counts as one at this moment is for the host's `authorize` to say: asserted as not allowed |
 * | verification off, replication on | there is no flag for verification alone: off is both |
 * | ArgumentError | `INVALID_REQUEST`, with the text of the original |
 * | keyword: no search, or with search | whichever the declaration of the type says |
 */

const MOST = 100

/** The suite 'a framework registry finder', below HTTP. */
export function aFrameworkRegistryFinder({ describe, it, beforeEach }: TestRunner, subject: Subject): void {
  const { bench, replicable, keywordOf } = subject
  const { className } = replicable.names
  let four: FourRegistries

  async function find(filters: RegistryFilters, mayRead = true): Promise<string[]> {
    const { parts, type } = bench().secondary
    const found = findRegistries(parts, type, filters, { mayRead })
    const entries = await found.page({ limit: MOST })
    assert.equal(await found.count(MOST), entries.length)
    return entries.map(({ recordId }) => recordId)
  }
  const idsOf = (...names: (keyof FourRegistries)[]) => names.map((name) => four[name].id)
  const all = () => idsOf('synced', 'verifiedFirst', 'pending', 'verifiedLast')
  const refuses = (filters: RegistryFilters, message: string) =>
    assert.rejects(find(filters), (error) => {
      assert.ok(error instanceof GeoError)
      assert.deepEqual([error.code, error.message], ['INVALID_REQUEST', message])
      return true
    })

  describe('a framework registry finder', () => {
    beforeEach(async () => {
      await bench().reset()
      four = await fourRegistries(bench())
    })

    it('finds nothing without permission', async () => {
      assert.deepEqual(await find({}, false), [])
    })

    it('finds all without parameters', async () => {
      assert.deepEqual(await find({}), all())
    })

    it('finds those whose ids are given', async () => {
      const ids = [await registryIdOf(bench(), four.verifiedLast), await registryIdOf(bench(), four.synced)]
      assert.deepEqual(await find({ ids }), idsOf('synced', 'verifiedLast'))
    })

    it('finds all with an empty list of ids', async () => {
      assert.deepEqual(await find({ ids: [] }), all())
    })

    it('finds those in a replication state, and all where it is blank', async () => {
      assert.deepEqual(await find({ replicationState: 'synced' }), idsOf('synced', 'verifiedFirst', 'verifiedLast'))
      assert.deepEqual(await find({ replicationState: null }), all())
    })

    it('finds those in a verification state, and all where it is blank', async () => {
      assert.deepEqual(await find({ verificationState: 'succeeded' }), idsOf('verifiedFirst', 'verifiedLast'))
      assert.deepEqual(await find({ verificationState: null }), all())
    })

    it('finds by verification state synced ones alone: of other copies nothing is verified', async () => {
      const { make } = bench()
      await make.registry({ sync: 'failed', columns: { verification_state: V.succeeded } })
      assert.deepEqual(await find({ verificationState: 'succeeded' }), idsOf('verifiedFirst', 'verifiedLast'))
    })

    for (const verificationState of ['succeeded', null] as const) {
      it(`refuses the verification state ${verificationState ?? 'blank'} where verification is off`, async () => {
        bench().switchFlag(false)
        const reason = `is not supported because verification is not enabled for ${className}`
        await refuses({ verificationState }, `Filtering by verification_state ${reason}`)
      })
    }

    if (replicable.search) {
      it('finds the one that matches a keyword, and all where it is blank', async () => {
        assert.ok(keywordOf, 'a type with a search needs keywordOf in its subject')
        assert.deepEqual(await find({ keyword: keywordOf(four.pending.row) }), idsOf('pending'))
        assert.deepEqual(await find({ keyword: '' }), all())
      })

      it('finds what fulfils all filters together', async () => {
        const keyword = keywordOf?.(four.pending.row) ?? null
        assert.deepEqual(await find({ keyword, replicationState: 'synced' }), [])
        assert.deepEqual(await find({ keyword, replicationState: 'pending' }), idsOf('pending'))
      })
    } else {
      it('refuses a keyword, for the type has no search', async () => {
        const reason = `search method is not implemented for ${className}`
        await refuses({ keyword: 'any' }, `Filtering by keyword is not supported because ${reason}`)
      })
    }

    const orders: readonly (readonly [RegistrySort | null, readonly (keyof FourRegistries)[]])[] = [
      [null, ['synced', 'verifiedFirst', 'pending', 'verifiedLast']],
      ['ID_DESC', ['verifiedLast', 'pending', 'verifiedFirst', 'synced']],
      // What has not come sorts as later than all moments, as nulls do in PostgreSQL.
      ['LAST_SYNCED_AT_ASC', ['verifiedLast', 'verifiedFirst', 'synced', 'pending']],
      ['LAST_SYNCED_AT_DESC', ['pending', 'synced', 'verifiedFirst', 'verifiedLast']],
      ['VERIFIED_AT_ASC', ['verifiedFirst', 'verifiedLast', 'synced', 'pending']],
      ['VERIFIED_AT_DESC', ['pending', 'synced', 'verifiedLast', 'verifiedFirst']],
    ]
    for (const [sort, names] of orders) {
      it(`sorts by ${sort ?? 'id where no order is given'}`, async () => {
        assert.deepEqual(await find({ sort }), idsOf(...names))
      })
    }

    it('refuses to sort by verified_at where verification is off', async () => {
      bench().switchFlag(false)
      const reason = `is not supported because verification is not enabled for ${className}`
      await refuses({ sort: 'VERIFIED_AT_DESC' }, `Sorting by verified_at ${reason}`)
    })
  })
}
